"""The makers' own tokenizers, in a process of their own: runs in the environment of fetch_vocabularies.py, without Puna.

python own_tokenizers.py NAME FILE < {"texts": [...], "chats": [...]} > {"texts": ids, "chats": ids, "controls": ...}
"""

import json
import sys
from pathlib import Path


def llama(file, module):
    """Meta's: conversations as its chat_format writes them."""
    import importlib

    from llama_models.datatypes import RawMessage

    tokenizer = importlib.import_module(f"llama_models.{module}.tokenizer").Tokenizer(Path(file))

    def chat(messages):
        chat_format = importlib.import_module(f"llama_models.{module}.chat_format").ChatFormat(tokenizer)
        made = [
            RawMessage(role=message["role"], content=message["content"])
            if message["role"] != "assistant"
            else RawMessage(role="assistant", content=message["content"], stop_reason="end_of_turn")
            for message in messages
        ]
        return chat_format.encode_dialog_prompt(made).tokens

    return lambda text: tokenizer.encode(text, bos=False, eos=False), chat, tokenizer.special_tokens


def mistral(file):
    """Mistral's: conversations as its instruct tokenizer of the file's version writes them."""
    from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, UserMessage
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    whole = MistralTokenizer.from_file(file)
    tokenizer = whole.instruct_tokenizer.tokenizer
    kinds = {"user": UserMessage, "assistant": AssistantMessage, "system": SystemMessage}

    def chat(messages):
        made = [kinds[message["role"]](content=message["content"]) for message in messages]
        return whole.encode_chat_completion(ChatCompletionRequest(messages=made)).tokens

    controls = {tokenizer.id_to_piece(i): i for i in sorted(tokenizer.special_ids)}
    return lambda text: tokenizer.encode(text, bos=False, eos=False), chat, controls


def main():
    """Answer one request."""
    name, file = sys.argv[1:]
    if name.startswith("llama"):
        encode, chat, controls = llama(file, name.replace("-", ""))
    else:
        encode, chat, controls = mistral(file)
    request = json.load(sys.stdin)
    ids = {"texts": [encode(text) for text in request["texts"]], "chats": [chat(c) for c in request["chats"]]}
    json.dump({**ids, "controls": controls}, sys.stdout)


if __name__ == "__main__":
    main()
