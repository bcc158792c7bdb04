// How the model's probabilities held on questions they were not fitted on: in a sentence, and as a reliability chart.

import { at, draw, make } from "./dom.js";
import { number, percent, say, scale } from "./words.js";

const SIZE = 160; // of the chart, with a margin for its words around it
const MARGIN = 22;

/** Give the rows behind a calibration's curve as [probability, questions, right ones], the surest first. */
export function steps({ rows, curve }) {
  let before = 0;
  let missed = 0;
  return curve.map(([probability, coverage, error]) => {
    const answered = Math.round(coverage * rows);
    const wrong = error * (answered + 1) - 1; // the curve says (wrong + 1) / (answered + 1)
    const step = [probability, answered - before, answered - before - (wrong - missed)];
    [before, missed] = [answered, wrong];
    return step;
  });
}

/** Join steps into about ten groups of as many questions: {said, right, count}. */
export function tenths(calibration) {
  const groups = [];
  let [said, right, count] = [0, 0, 0];
  for (const [probability, questions, good] of steps(calibration)) {
    said += probability * questions;
    right += good;
    count += questions;
    if (count >= calibration.rows / 10) {
      groups.push({ said: said / count, right: right / count, count });
      [said, right, count] = [0, 0, 0];
    }
  }
  if (count) groups.push({ said: said / count, right: right / count, count });
  return groups;
}

/** Give the share of right ones among answers at least this probable; null where none was. */
export function rightFrom(calibration, probability) {
  const at = calibration.curve.filter(([each]) => each >= probability).at(-1);
  return at ? 1 - at[2] : null;
}

/** Write the section on numbers; `probability`: of the answer that is shown, if one is. */
export function explain(calibration, probability) {
  at("help-words").textContent = say("help.words", scale());
  if (!calibration) {
    at("measured").replaceChildren(make("p", {}, say("help.uncalibrated")));
    return;
  }
  const right = probability === null ? null : rightFrom(calibration, probability);
  at("measured").replaceChildren(
    make("p", {}, say("help.measured", { rows: number(calibration.rows) })),
    right === null ? "" : make("p", {}, make("strong", {}, say("help.right", { right: percent(right) }))),
    chart(tenths(calibration)),
  );
}

function chart(groups) {
  const x = (value) => MARGIN + value * SIZE;
  const y = (value) => MARGIN / 2 + (1 - value) * SIZE;
  const text = (value, left, top, anchor) => draw("text", { x: left, y: top, "text-anchor": anchor }, value);
  const box = `0 0 ${SIZE + MARGIN * 2} ${SIZE + MARGIN * 2}`;
  const picture = draw("svg", { viewBox: box, class: "chart", role: "img", "aria-label": say("help.chart") },
    draw("path", { class: "frame", d: `M${x(0)} ${y(1)}V${y(0)}H${x(1)}` }),
    draw("path", { class: "even", d: `M${x(0)} ${y(0)}L${x(1)} ${y(1)}` }),
    ...groups.map(({ said, right }) => draw("circle", { cx: x(said), cy: y(right), r: 3.5 })),
    text(say("help.chart.said"), x(0.5), y(0) + 17, "middle"),
    text(say("help.chart.true"), x(0) + 4, y(1) + 9, "start"),
    text(percent(0), x(0), y(0) + 12, "middle"),
    text(percent(1), x(1), y(0) + 12, "middle"),
  );
  const rows = groups.map(({ said, right, count }) =>
    make("li", {}, say("help.chart.row", { said: percent(said), right: percent(right), count })));
  return make("figure", {}, picture, make("figcaption", {}, say("help.chart"), make("ul", { class: "hidden" }, ...rows)));
}
