"""Names, numbers, dates and recurring spans of Chinese sentences, without a segmenter.

Where a word begins and ends is told by what stands around it in several places: other characters each time, and
somewhere a punctuation mark or a function character.
"""

import re
from collections import defaultdict

from puna.train.rows_target import Range, Recurrence, Target, closed, widened

GAP = ""  # between sentences
FEWEST, MOST = 200, 500  # characters of a passage
LONG, SHORT = 60, 12  # characters of a sentence that is asked whole, and of a question at least, beside the blank
_CHARACTERS_OF_SENTENCE = range(12, 161)
_LONGEST_SPAN = 12

# No span begins or ends with one of these.
_FUNCTION = frozenset(
    "的了在是和与與及有为為以被把对對从從到于於而也都就又很这這那其之所个個些但并並或将將由向给給让讓使更最已曾未不没沒"
    "無无可能会會要应應该該等们們他她它我你您此每各某呢吗嗎吧啊着著过過则則即却卻还還再只仅僅因故若如且乃至自共"
    "第后後前时時中里裡上下内內外间間约約同当當来來去说說道用做作叫称稱得见見听聽问問地便两兩几幾多少一者哪什么麼谁誰今"
)
# Beside a span these are seldom a part of its word.
_BEFORE = frozenset("的了在是和与與及而也都就这這那其之被把并並或将將由但为為以于於对對从從向有")
_AFTER = frozenset("的了在是和与與及而也都就这這那其被把并並或将將由但")
_COMMON = frozenset(
    """
    我们 他们 可以 因为 所以 但是 没有 一个 自己 什么 这个 其中 以及 进行 开始 之后
    目前 以上 以下 以前 以后 主要 由于 通过 根据 成为 许多 认为 表示 发现 使用 包括
    需要 可能 当时 现在 同时 然而 虽然 如果 部分 方面 情况 问题 工作 时间 时候 地方
    一些 一种 第一 第二 第三 不同 不是 非常 重要 影响 发展 出现 得到 提供 作为 因此
    此外 另外 有关 相关 规定 应当 必须 不得 直接 之间 其他 其它 具有 存在 发生 产生
    形成 建立 成立 负责 参加 参与 担任 位于 属于 年代 当年 今年 人物 人们 世界 全国
    中国 国家 地区 社会 名称 方式 方法 系统 作品 最后 最终 最大 最高 正式 曾经 已经
    仍然 大量 大部分 進行 開始 沒有 認為 發現 成為 許多 當時 現在 同時 雖然 問題 時間
    時候 情況 發展 出現 作為 因為 他們 我們 影響 產生 負責 參加 擔任 位於 屬於 國家
    地區 社會 名稱 系統 最後 二人 三人 众人 一面 一时 今日 明日 不知 知道 起来 出来
    进来 过来 回来 下来 听见 看见 只见 如今 原来 怎么 这样 那里 这里 于是 接着 甚至
    尤其 特别 一般 通常 一直 全部 所有 本身 对于 关于 为了 随后 期间 左右 前后 先后
    分别 共同 另一 有限公司 公司 人员 规定的 单位 机关 部门 法律 法规 行政 依法 上述
    前款 条例 本法 活动 管理 实施 组织 制定 决定 采取 改变 举行 提起 支付 随机 怎样
    快快 改變 舉行 支持 反对 决定 决赛 要求 增加 减少 获得 取得 完成 结束 继续 受到
    带领 离开 加入 成功 失败 其后 不久 目標 希望 采用 採用 允许 造成 引起 导致 符合
    负责人 执行 处理 申请 享有 承担 履行 依照 按照 超过
    """.split()
)
# Words whose end looks like the beginning of a span, and measure words behind a number.
_JOINED = frozenset(
    "是否 有关 有關 有时 有時 有些 有限 有期 为主 為主 以及 以来 以來 从而 從而 由于 由於 就是 被告 之间 之間".split()
)
_COUNTED = frozenset("部名位個个種种座条條只隻支家所本篇首次件块塊张張")
_DEED = re.compile(
    "^(?:分布|位于|位於|处|處|根据|根據|进行|進行|实施|扶植|符合|参加|參加|应当|應當|可以|需要|举行|舉行|没有|沒有|经|經|依照|采取|提供|负责|負責)"
    "|(?:实施|實施|进行|進行|自己|使用|提供|规定|規定)$|[而的了着著是在被把们們]|自己|^[年月日号號]"
)
# What follows these is mostly a noun.
_NOUN_AFTER = frozenset("的之个個种種名位座条條该該此《「“")
_HAN = r"\u3400-\u9fff"
_RUN = re.compile(rf"[{_HAN}A-Za-z0-9·]+")
_MEASURES = (
    "年(?!代|级|級)|天|日[内內以之前]|人|名|位|个|個|倍|元|万|家|所|座|条|條|公里|公尺|公顷|公頃|平方公里|米|"
    "岁|歲|次|部|集|首|张|張|场|場|"
    "分钟|分鐘|小时|小時|种|種|届|屆|层|層|艘|架|辆|輛|户|戶|吨|噸|公斤|只|隻|票|分|站|篇|卷|本|回|期|棟|栋"
)
_DATE = re.compile(
    r"(?<![\d.])(?:(?:公元前|西元前|前)?\d{3,4}年(?:\d{1,2}月(?:\d{1,2}日)?)?|\d{1,2}月\d{1,2}日)(?![代度级級间間后後前\d])"
)
_NUMBER = re.compile(
    rf"(?<![\d.,A-Za-z第〇零一二三四五六七八九十百千前-])(?:\d+(?:,\d{{3}})*(?:\.\d+)?[百千万萬亿億]*[余餘多]?"
    rf"|[二三四五六七八九十百千万萬亿億][〇零一二三四五六七八九十百千万萬亿億]+[余餘多]?)(?=(?:{_MEASURES}))"
    r"|(?<![\d.A-Za-z-])\d+(?:\.\d+)?[%％]"
)
_TITLE = re.compile(r"(?<=《)[^《》「」“”]{2,20}(?=》)")
_QUOTED = re.compile(rf"(?<=[「“])[{_HAN}A-Za-z0-9·]{{2,12}}(?=[」”])")
_FOREIGN_NAME = re.compile(
    rf"(?<![{_HAN}A-Za-z·-])(?:[{_HAN}]{{1,6}}[·‧・]){{1,3}}[{_HAN}]{{1,6}}(?![{_HAN}A-Za-z·-])"
)
_NO_NAME = re.compile(
    r"[的了在是被所对對于於从從及与與和]|(?:机场|機場|大学|大學|奖|獎|定理|定律|号|號|山|岛|島|河|湖|站|市|公司)$"
)
_PLACE = re.compile(
    rf"(?<=[在于於])(?<![所现現存正][在于於])(?![此这這那其该該]|[一二三])[{_HAN}]{{2,5}}?"
    r"(?:省|市|县|縣|州|岛|島|山|镇|鎮|村|大学|大學|学院|學院)(?=[，。；、）\d]|[的和与與举舉出设設成建召])"
)
_LETTERS = "A-Za-zÀ-ɏ0-9"
_LATIN = re.compile(
    rf"(?<![{_LETTERS}' .&)=-])[A-Z][{_LETTERS}]*(?:[ '.&-]{{1,2}}[{_LETTERS}]+){{0,5}}"
    rf"(?![{_LETTERS}'.&=+-]| [{_LETTERS}])"
)
_LATIN_ON = re.compile(rf"[{_LETTERS}]| [{_LETTERS}]")
_SURNAMES = frozenset(
    "王李张張刘劉陈陳杨楊黄黃赵趙吴吳周徐孙孫马馬朱胡郭何高林罗羅郑鄭梁谢謝宋唐许許韩韓冯馮邓鄧曹彭曾萧蕭田董潘袁"
    "蔡蒋蔣余于杜叶葉程魏苏蘇吕呂丁任卢盧姚沈钟鐘姜崔谭譚陆陸汪范金石廖贾賈夏韦付方白邹鄒孟熊秦邱江尹薛闫段雷侯龙龍"
    "史陶黎贺賀顾顧毛郝龚龔邵万萬钱錢严嚴武戴莫孔向汤湯尤凤鳳宝寶"
)
_PERSON_AFTER = re.compile(
    r"(?:说|說|道|笑|问|問|听|聽|认为|認為|表示|出生|担任|擔任|逝世|去世|出任|创作|創作|毕业|畢業|发表|發表|"
    r"因|曾|在|是|与|與|和)"
)
_LEAD = re.compile(
    r"[\s”」』）\",，；：。]*(?:第[〇零一二三四五六七八九十百千]+条(?:之[一二三四五])?\s+|（[一二三四五六七八九十]+）)?"
    r"(?:但是|但|而|并且|并|並|且|则|則|以及)?"
)
_SUBORDINATE = re.compile(r"(?:[后後时時前中里裡间間下]|以来|以來|为止|為止|的|等)$")
_PARTING = re.compile(r"[，；：,;:]|——")
_END = re.compile(r"[。！？][”」』）\"]*$")
_TRADITIONAL = re.compile("[們個為來這說時於與國會後學發對開關過從現經]")
_FOREIGN = re.compile(r"https?:|[<>|{}\\^`_~@#*]|\n|\ufffd|（）|「」|『』|《》|[，、]{2}|\.\.\.")


def size(text: str) -> int:
    """Count characters, white space left out."""
    return len("".join(text.split()))


def weight(span: str) -> float:
    """Prefer longer spans."""
    return 0.2 if len(span) == 2 else len(span) / 3


def traditional(text: str) -> bool:
    """Tell a text in traditional characters by some that are common in any."""
    return bool(_TRADITIONAL.search(text))


def askable(sentence: str) -> bool:
    """Say whether it is a whole sentence of a fitting length, of text and nothing else."""
    return (
        bool(_END.search(sentence)) and not _FOREIGN.search(sentence) and size(sentence) in _CHARACTERS_OF_SENTENCE
    )


def recurrences(text: str, ranges: list[Range]) -> list[Recurrence]:
    """List spans of two to twelve characters that end where words do, as far as their neighbours tell."""
    places: defaultdict[str, list[Range]] = defaultdict(list)  # sentence, offset
    for n, each in enumerate(ranges):
        for run in _RUN.finditer(text, *each):
            for first in range(*run.span()):
                if text[first] in _FUNCTION:
                    continue
                for last in range(first + 2, min(first + _LONGEST_SPAN, run.end()) + 1):
                    if text[last - 1] not in _FUNCTION:
                        places[text[first:last]].append((n, first))
    found = []
    for span, where in places.items():
        if len({n for n, _ in where}) < 2 or not _telling(span):
            continue
        spans = tuple((first, first + len(span)) for _, first in where)
        if clean := _clean(text, span, spans):
            kind = "person" if _person(text, span) else "" if re.search(rf"[{_HAN}]", span) else "latin"
            found.append(Recurrence(kind, spans, clean))
    held = [each for each in found if any(_within(each, other) for other in found)]
    return [each for each in found if each not in held]


def targets(text: str, start: int, end: int) -> list[Target]:
    """List dates, numbers, foreign names, titles, places, quoted and Latin words, none inside one before it."""
    patterns = (
        ("date", _DATE),
        ("title", _TITLE),
        ("person", _FOREIGN_NAME),
        ("number", _NUMBER),
        ("place", _PLACE),
        ("quoted", _QUOTED),
        ("latin", _LATIN),
    )
    found: list[Target] = []
    for kind, pattern in patterns:
        for match in pattern.finditer(text, start, end):
            first, last = match.span()
            if last - first < 2 or (kind == "quoted" and match[0] in _COMMON):
                continue
            if kind == "person" and _NO_NAME.search(match[0]):
                continue
            if kind == "number" and text[last : last + 1] == "年" and _counts_years(text[start:first], match[0]):
                continue
            if all(last <= each.start or each.end <= first for each in found):
                found.append(Target(first, last, kind))
    return found


def clause(text: str, start: int, end: int, target: Target) -> Range:
    """Cut at commas; twelve characters at least stay beside the blank."""
    first, last = widened(text, start, end, target, _PARTING, lambda part: size(part) >= SHORT)
    if (lead := _LEAD.match(text, first, target.start)) and (first > start or lead[0][:1] in ("第", "（")):
        first = lead.end()
    while last > target.end and text[last - 1] in "，；：,;:—":
        last -= 1
    return first, last


def asked(text: str, start: int, end: int, target: Target) -> str | None:
    """Put 谁, 什么时候, 多少, 哪里 or 什么 in the target's place; in Chinese that makes a question of a sentence."""
    before, answer, after = text[start : target.start], text[target.start : target.end], text[target.end : end]
    after = re.sub(r"[。！？；，.!?][”」』\"]*$", "", after.rstrip())
    if not closed(before + after) or _SUBORDINATE.search(before + after):
        return None
    wide = traditional(text)
    word: str | None = None
    if target.kind == "date" and before[-1:] not in ("为", "為"):  # with what follows, that would be "why"
        word = "哪一年" if answer.endswith("年") else "什麼時候" if wide else "什么时候"
    elif target.kind == "number":
        word = "百分之多少" if answer[-1] in "%％" else "多少"
    elif target.kind == "person":
        word = "誰" if wide else "谁"
    elif target.kind == "place":
        word = "哪裡" if wide else "哪里"
    elif target.kind == "title" or re.search(
        r"(?:名为|名為|称为|稱為|叫做|叫作|简称|簡稱|称作|稱作|是)[“「《]?$", before
    ):
        word = "什麼" if wide else "什么"
    return "".join((before + word + after).splitlines()).strip() + "？" if word else None


def _counts_years(before: str, number: str) -> bool:
    """Tell a year's own number, as in 1949年 or 万历三十七年, from a number of years."""
    return (len(number) in (3, 4) and number.isdigit()) or (
        bool(re.search(rf"[{_HAN}]$", before)) and (before[-1] not in "为為在了约約近有满滿达達共过過长長期于於至")
    )


def _telling(span: str) -> bool:
    """Say whether a span may be an answer: no common word, no verb's phrase, no number without what is counted."""
    if span in _COMMON or span.isdigit() or _DEED.search(span):
        return False
    if re.fullmatch(r"[A-Za-z0-9·]+", span):
        return len(span) > 2
    return not re.fullmatch(r"[0-9一二三四五六七八九十百千万]+.", span) and len(re.sub(r"[\d·]", "", span)) > 1


def _clean(text: str, span: str, spans: tuple[Range, ...]) -> tuple[Range, ...]:
    """Give the places with the end of a word on both sides; none where the span looks like a piece of a word."""
    before = [text[max(0, a - 2) : a] for a, _ in spans]
    after = [text[b : b + 2] for _, b in spans]
    if any(_goes_on(span[0], side[::-1]) for side in before) or any(_goes_on(span[-1], side) for side in after):
        return ()
    if any(side[-1:] + span[0] in _JOINED for side in before):
        return ()
    if span[0] in _COUNTED and any(side and side[-1] in "一二三两兩这這那每" for side in before):
        return ()
    left = [not side or not _RUN.match(side[-1]) or side[-1] in _BEFORE for side in before]
    right = [not side or not _RUN.match(side[0]) or side[0] in _AFTER for side in after]
    if 2 * min(sum(left), sum(right)) < len(spans):
        return ()
    if len(span) == 2 and not _person(text, span) and not any(side and side[-1] in _NOUN_AFTER for side in before):
        return ()
    return tuple(each for each, *ends in zip(spans, left, right, strict=True) if all(ends))


def _goes_on(edge: str, side: str) -> bool:
    """Tell whether a number, a name with marks or a word in Latin letters goes on beyond the span's edge."""
    if not side:
        return False
    if edge.isascii() and ((edge.isdigit() and side[0] in "年月日万萬亿億") or _LATIN_ON.match(side)):
        return True
    return side[0].isdigit() or side[0] in "·‧・-—~～.%％"


def _within(one: Recurrence, other: Recurrence) -> bool:
    """Tell whether every place of one lies in a place of the other, longer one."""
    return one is not other and all(
        any(a <= c and d <= b and b - a > d - c for a, b in other.places) for c, d in one.places
    )


def _person(text: str, span: str) -> bool:
    """Tell a person by a surname and by what follows the name somewhere."""
    if "·" in span:
        return True
    if len(span) not in (2, 3) or span[0] not in _SURNAMES:
        return False
    places = (m.end() for m in re.finditer(re.escape(span), text))
    return any(_PERSON_AFTER.match(text, end) for end in places)
