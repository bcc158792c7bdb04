"""Sentences of the service."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-SERVE-MISSING": Message(
        ("the service needs packages that are not installed: {names}", "pip install 'puna[serve]'"),
        ("服务所需的软件包尚未安装：{names}", "pip install 'puna[serve]'，即可安装"),
    ),
    "E-SERVE-OLD": Message(
        ("{name} {version} has known holes; {least} is needed", "pip install --upgrade 'puna[serve]'"),
        ("{name} {version} 有已知漏洞，至少需要 {least}", "pip install --upgrade 'puna[serve]'，即可升级"),
    ),
    "E-SERVE-KEYS": Message(
        (
            "{host} can be reached from other machines, and no keys are required",
            "name a file with a key a line by --api-key-file, or stay with --host 127.0.0.1",
        ),
        (
            "其他机器可以访问 {host}，却没有要求密钥",
            "请用 --api-key-file 指定每行一个密钥的文件，或保持 --host 127.0.0.1",
        ),
    ),
    "E-SERVE-KEY-FILE": Message(
        (
            "{path} has no usable keys: {reason}",
            "write a key a line, of 16 to 256 printable characters without spaces",
        ),
        ("{path} 中没有可用的密钥：{reason}", "请每行写一个密钥，16 到 256 个可见字符，不含空格"),
    ),
    "E-SERVE-ADDRESS": Message(
        ("cannot listen on {host} port {port}: {reason}", "choose another by --host and --port"),
        ("无法在 {host} 端口 {port} 上监听：{reason}", "请用 --host 和 --port 换一个"),
    ),
    "E-SERVE-LIBRARY": Message(
        ("this service has no library", "start it with --library"),
        ("本服务没有文档库", "请用 --library 启动服务"),
    ),
    "E-SERVE-DOCUMENT": Message(
        ("there is no such document", "GET /v1/documents lists them"),
        ("没有这个文档", "GET /v1/documents 会列出全部文档"),
    ),
    "E-SERVE-UPLOAD": Message(
        ("the upload cannot be used: {reason}", "send one file as multipart/form-data, in the field file"),
        ("上传的内容无法使用：{reason}", "请以 multipart/form-data 在 file 字段中发送一个文件"),
    ),
    "E-SERVE-STORE": Message(
        ("the library cannot be read or written: {reason}", "check space and permissions where it lives"),
        ("文档库无法读写：{reason}", "请检查它所在位置的空间和权限"),
    ),
    "E-SERVE-STORE-BUSY": Message(
        ("another program has kept the library locked for a minute", "try again when it has ended"),
        ("另一个程序锁定文档库已有一分钟", "请等它结束后再试"),
    ),
    "E-SERVE-UNAUTHORISED": Message(
        ("a key is needed, and none or a wrong one was given", "send it as: Authorization: Bearer KEY"),
        ("需要密钥，但没有给出或不正确", "请这样发送：Authorization: Bearer 密钥"),
    ),
    "E-SERVE-HOST": Message(
        ("this service is not called by that name", "call it by its own address, or name others by --allow-host"),
        ("本服务不使用该主机名", "请用它自己的地址访问，或以 --allow-host 指定其他名称"),
    ),
    "E-SERVE-ORIGIN": Message(
        ("pages of other sites cannot use this service", "open the service's own page"),
        ("其他网站的页面不能使用本服务", "请打开服务自己的页面"),
    ),
    "E-SERVE-TYPE": Message(
        ("a body of this kind is not taken here", "send {wanted} and say so in Content-Type"),
        ("此处不接受这种内容类型", "请发送 {wanted}，并在 Content-Type 中注明"),
    ),
    "E-SERVE-BODY": Message(
        ("the body is larger than {limit} bytes", "send less at once"),
        ("请求内容超过 {limit} 字节", "请一次少发一些"),
    ),
    "E-SERVE-SLOW": Message(
        ("the body has not come whole within {seconds} seconds", "send it again"),
        ("请求内容未能在 {seconds} 秒内传完", "请重新发送"),
    ),
    "E-SERVE-JSON": Message(
        ("the body is no JSON object", "send an object in UTF-8"),
        ("请求内容不是 JSON 对象", "请发送 UTF-8 编码的对象"),
    ),
    "E-SERVE-FIELD": Message(
        ("the field {field} is wrong: {reason}", "GET /openapi.json describes all fields"),
        ("字段 {field} 有误：{reason}", "GET /openapi.json 中有全部字段的说明"),
    ),
    "E-SERVE-UNSUPPORTED": Message(
        ("{field} is not computed here", "leave it out"),
        ("此处不支持 {field}", "请去掉它"),
    ),
    "E-SERVE-MODEL": Message(
        (
            "there is no model {model} here",
            "GET /v1/models lists them; names from requests are never opened as files",
        ),
        ("这里没有模型 {model}", "GET /v1/models 会列出模型；请求中的名称不会被当作文件打开"),
    ),
    "E-SERVE-ROUTE": Message(
        ("there is nothing at this address", "GET /openapi.json describes all routes"),
        ("该地址没有内容", "GET /openapi.json 中有全部路径的说明"),
    ),
    "E-SERVE-METHOD": Message(
        ("this address does not take this method", "GET /openapi.json describes all routes"),
        ("该地址不接受此方法", "GET /openapi.json 中有全部路径的说明"),
    ),
    "E-SERVE-COST": Message(
        (
            "the request asks for {tokens} tokens, and {limit} is the most",
            "ask for fewer texts, fewer choices or fewer tokens at once",
        ),
        ("请求共需 {tokens} 个词元，上限为 {limit}", "请减少一次请求的文本数、候选数或词元数"),
    ),
    "E-SERVE-CHOICES": Message(
        ("the request asks for {count} texts, and {limit} is the most", "send several requests"),
        ("请求要求 {count} 段文本，上限为 {limit}", "请分成几个请求发送"),
    ),
    "E-SERVE-BUSY": Message(
        ("{waiting} requests are waiting already", "try again after the seconds that Retry-After says"),
        ("已有 {waiting} 个请求在等待", "请在 Retry-After 所示秒数后重试"),
    ),
    "E-SERVE-TIME": Message(
        ("the request was not done within {seconds} seconds", "ask for less at once, or when fewer others ask"),
        ("请求未能在 {seconds} 秒内完成", "请一次少要求一些，或在人少时再试"),
    ),
    "E-SERVE-STOPPING": Message(
        ("the service is stopping and takes no more requests", "try again when it has started again"),
        ("服务正在停止，不再接受请求", "请在它重新启动后再试"),
    ),
    "E-SERVE-STOPPED": Message(
        ("the service has stopped before the request was done", "try again when it has started again"),
        ("服务在请求完成前停止了", "请在它重新启动后再试"),
    ),
    "E-SERVE-INTERNAL": Message(
        ("the request has failed here, and the reason is in the service's log", "other requests are not affected"),
        ("请求在服务内部失败，原因见服务日志", "其他请求不受影响"),
    ),
}
