"""A model behind an OpenAI-compatible endpoint, through the openai package: it retries, and tells no secrets."""

import base64
import io
import os
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlparse

from PIL import Image

from trellis_cli.errors import MissingError, Unreachable, UsageError, first_line

OURS = (401, 403, 404, 405)  # status codes that no object would change
THIS_ONE = (400, 413, 422)  # those that another object may not meet


class ChatEndpoint:
    """Questions, perhaps with pictures, to `<endpoint>/chat/completions`.

    Args:
        endpoint: as https://api.openai.com/v1; model: a name that it knows.
        key_variable: the environment variable that holds the key; a server on this very machine needs none.
        timeout: seconds for one answer; retries: how often one is asked for again after 408, 409, 429, 5xx, a timeout
            or a lost connection, longer and longer apart or as long as the server says.
        per_minute: requests a minute at most; 0 is no limit.

    Raises:
        MissingError: the openai package or the key is not there.
        UsageError: the endpoint is no URL.
    """

    def __init__(
        self,
        endpoint: str,
        model: str,
        *,
        key_variable: str = "OPENAI_API_KEY",
        timeout: float = 120.0,
        retries: int = 6,
        per_minute: float = 0.0,
    ) -> None:
        try:
            import openai
        except ImportError as error:
            hint = "pip install 'trellis-slat[caption]'"
            raise MissingError("an endpoint needs the openai package, which is not installed", hint=hint) from error
        url = urlparse(endpoint)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise UsageError(f"--endpoint {endpoint!r} is no URL", hint="for example https://api.openai.com/v1")
        self._key = os.environ.get(key_variable, "")
        if not self._key and url.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise MissingError(f"the variable {key_variable} holds no key", hint=f"export {key_variable}=...")
        self.name = model
        self._openai: Any = openai
        self._client = openai.OpenAI(
            base_url=endpoint, api_key=self._key or "none", timeout=timeout, max_retries=retries
        )
        self._pause = 60 / per_minute if per_minute else 0.0
        self._next = 0.0

    def ask(self, question: str, pictures: Sequence[Image.Image] = ()) -> str:
        """The model's answer.

        Raises:
            UsageError: the endpoint refuses: key or model.
            Unreachable: no answer after all retries, or one that is none.
        """
        self._wait()
        content: list[dict[str, Any]] = [{"type": "text", "text": question}]
        content += [{"type": "image_url", "image_url": {"url": _data_url(picture)}} for picture in pictures]
        messages: Any = [{"role": "user", "content": content if pictures else question}]
        try:
            answer = self._client.chat.completions.create(model=self.name, messages=messages)
            text = answer.choices[0].message.content
        except self._openai.APIStatusError as error:
            said = self._without_key(first_line(error))
            if error.status_code in OURS:
                raise UsageError(
                    f"the endpoint refuses: {said}", hint="check --endpoint, --model and the key"
                ) from None
            fails = "refuses this object" if error.status_code in THIS_ONE else "fails"
            raise Unreachable(f"the endpoint {fails}: {said}", hint="try again later with --retry-failed") from None
        except self._openai.APIConnectionError as error:  # a timeout is one too
            said = self._without_key(first_line(error))
            raise Unreachable(f"the endpoint does not answer: {said}", hint="check --endpoint, or try later") from None
        except (ValueError, IndexError, AttributeError, TypeError) as error:
            said = self._without_key(first_line(error))
            raise Unreachable(f"the endpoint's answer is none: {said}", hint="check --endpoint") from None
        if not isinstance(text, str) or not text.strip():
            raise Unreachable("the endpoint's answer is empty", hint="try again with --retry-failed")
        return text

    def _wait(self) -> None:
        """Until the next request may go out."""
        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + self._pause

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
