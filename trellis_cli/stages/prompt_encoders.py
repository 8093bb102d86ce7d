"""Prompts to the conditions of one batch: each encoder loaded when it is first needed, beside or instead of flows."""

from dataclasses import dataclass, field, replace

from trellis_cli.data.prompt_lists import Prompt
from trellis_cli.networks.condition import Condition
from trellis_cli.stages.conditioners import Conditioner, conditioner
from trellis_cli.stages.resident import Networks

Pair = tuple[Condition, Condition]  # what the flows attend to, and what guidance leads away from


@dataclass(frozen=True, eq=False)
class PromptEncoders:
    """The encoders of a model's prompts, which take turns with its networks where these do.

    background: how opaque pictures are cut out (image_prompts.Background); of no matter to texts.
    """

    networks: Networks
    background: str = ""
    _encoders: dict[str, Conditioner] = field(default_factory=dict)
    _encoded: dict[Prompt | str, Pair] = field(default_factory=dict)

    def pair(self, prompt: Prompt) -> Pair:
        """The conditions of a prompt. Raises FileError for a bad picture.

        The last ones, which are small, stay for the prompt's further assets.
        """
        asked = replace(prompt, seed=None, name="", place="")
        if asked not in self._encoded:
            encoder = self._loaded(prompt.kind)
            self._keep(asked, (encoder.condition(prompt), encoder.negative(prompt)))
        return self._encoded[asked]

    def nothing(self, kind: str) -> Pair:
        """What stands for no prompt at all, twice: for flows that answer to prompts of a kind."""
        if kind not in self._encoded:
            empty = self._loaded(kind).empty()
            self._keep(kind, (empty, empty))
        return self._encoded[kind]

    def of(self, kind: str) -> Conditioner:
        """The encoder of prompts of a kind, in memory. Raises MissingError, FileError."""
        if kind not in self._encoders:
            n = self.networks
            self._encoders[kind] = conditioner(n.model, kind, device=n.device, background=self.background)
        return self._encoders[kind]

    def _loaded(self, kind: str) -> Conditioner:
        if not self.networks.keep:
            self.networks.drop()
        return self.of(kind)

    def _keep(self, key: Prompt | str, pair: Pair) -> None:
        if not self.networks.keep:
            self._encoders.clear()
        self._encoded.clear()
        self._encoded[key] = pair
