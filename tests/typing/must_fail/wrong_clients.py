"""What must not type check: each line that must fail says so."""

import gigachat
from gigachat import AsyncGigaChat, GigaChat

gigachat.GigaChta()  # must fail: misspelt
GigaChat("key")  # must fail: options have names
GigaChat(credential="key")  # must fail: misspelt
AsyncGigaChat(access_tokens="token")  # must fail: misspelt
GigaChat(credentials=1)  # must fail: a key is text
GigaChat(timeout="5")  # must fail: seconds, a pair or an object
GigaChat(timeout=(1, 2, 3))  # must fail: a pair
GigaChat(verify_ssl_certs="no")  # must fail: a flag
GigaChat(retry_on_status_codes=429)  # must fail: several
GigaChat(flags=[1])  # must fail: flags are text
GigaChat(default_headers={"a": 1})  # must fail: a header is text
AsyncGigaChat(max_connections="5")  # must fail: a number
GigaChat(observers=gigachat.Observer())  # must fail: several
GigaChat(observers=[print])  # must fail: objects of a class

with AsyncGigaChat():  # must fail: the async client has an async context only
    pass

giga = GigaChat()
giga.with_options(retries=1)  # must fail: no such option
giga.with_options(extra_headers=["a"])  # must fail: a mapping
giga.with_options(session_id=5)  # must fail: text
giga.with_options(5)  # must fail: options have names
giga.with_options(timeout=5).no_such_method()  # must fail: a view has what its client has


async def contexts() -> None:
    await giga.close()  # must fail: it blocks
    async with AsyncGigaChat() as agiga:
        agiga.close()  # must fail: not awaited
        agiga.achat("text")  # must fail: the async client has the plain names
        agiga.astream("text")  # must fail: likewise
        await agiga.aembeddings(["text"])  # must fail: likewise
