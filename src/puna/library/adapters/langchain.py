"""A library as a LangChain retriever: `pip install 'puna[langchain]'`."""

from threading import Lock
from typing import Any

from puna.library.adapters import check_package, metadata
from puna.library.library import Library
from puna.library.retrieve import PASSAGES

check_package("langchain_core", "langchain")

from langchain_core.documents import Document  # noqa: E402
from langchain_core.retrievers import BaseRetriever  # noqa: E402
from pydantic import PrivateAttr  # noqa: E402


class PunaRetriever(BaseRetriever):  # type: ignore[misc]  # its types are not looked at
    """Gives the `k` best passages of a library for a question, best first; no model is asked.

    A Document's metadata: source, title, start, end, line, page, headings and score, as `Library.search` gives them.
    Raises what `Library.search` does.

    >>> retriever = PunaRetriever(library=puna.Library.open("my.library"), k=5)  # doctest: +SKIP
    >>> retriever.invoke("How is the filter cleaned?")  # doctest: +SKIP
    """

    library: Library
    k: int = PASSAGES
    _one_at_a_time: Any = PrivateAttr(default_factory=Lock)  # LangChain asks from several threads

    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        with self._one_at_a_time:
            found = self.library.search(query, self.k)
        return [Document(page_content=each.text, metadata=metadata(each)) for each in found]
