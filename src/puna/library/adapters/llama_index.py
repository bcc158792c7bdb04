"""A library as a LlamaIndex retriever: `pip install 'puna[llama-index]'`."""

from threading import Lock

from puna.library.adapters import check_package, metadata
from puna.library.library import Library
from puna.library.retrieve import PASSAGES

check_package("llama_index.core", "llama-index")

from llama_index.core.retrievers import BaseRetriever  # noqa: E402
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode  # noqa: E402

# Of the metadata: a model that reads the node's text learns nothing from them.
_NOT_READ = ["start", "end", "score"]


class PunaRetriever(BaseRetriever):  # type: ignore[misc]  # its types are not looked at
    """Gives the `similarity_top_k` best passages of a library for a question, best first; no model is asked.

    A node's metadata: source, title, start, end, line, page, headings and score, as `Library.search` gives them; a
    passage has the same node id each time. Raises what `Library.search` does.

    >>> retriever = PunaRetriever(puna.Library.open("my.library"), similarity_top_k=5)  # doctest: +SKIP
    >>> retriever.retrieve("How is the filter cleaned?")  # doctest: +SKIP
    """

    def __init__(self, library: Library, similarity_top_k: int = PASSAGES) -> None:
        super().__init__()
        self._library, self._k = library, similarity_top_k
        self._one_at_a_time = Lock()  # LlamaIndex asks from several threads

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        with self._one_at_a_time:
            found = self._library.search(query_bundle.query_str, self._k)
        return [
            NodeWithScore(
                node=TextNode(
                    id_=f"{each.source}#{each.start}-{each.end}",
                    text=each.text,
                    start_char_idx=each.start,
                    end_char_idx=each.end,
                    metadata=metadata(each),
                    excluded_embed_metadata_keys=_NOT_READ,
                    excluded_llm_metadata_keys=_NOT_READ,
                ),
                score=each.score,
            )
            for each in found
        ]
