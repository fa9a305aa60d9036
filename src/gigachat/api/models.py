"""The list of models (reference, section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat import models
from gigachat._engine.calls import Call, get, segment
from gigachat._engine.endpoint import Mode, Resource, endpoint
from gigachat._engine.parsing import parse, x_headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gigachat.catalogue import ModelInfo


class Models(Resource[Mode]):
    """Models of the service."""

    @endpoint
    def get_models(self) -> Call[models.Models]:
        """Return all models of the address (reference, section 3.1)."""
        return get("/models", models.Models)

    @endpoint
    def get_model(self, model: str) -> Call[models.Model]:
        """Return one model (reference, section 3.2).

        Args:
            model: Its name.

        Raises:
            NotFoundError: There is no such model.
        """
        return get(f"/models/{segment(model)}", models.Model)

    @endpoint
    def models_info(self, overrides: Iterable[ModelInfo] = ()) -> Call[list[ModelInfo]]:
        """Return windows, abilities and prices of the models (reference, sections 3.1 and 14).

        Args:
            overrides: Models whose values that are not None replace those of `gigachat.catalogue`, such as prices.

        Returns:
            The models that the service lists, in its order, then the other models of the catalogue.
        """
        own = tuple(overrides)

        def read(content: bytes, headers: Mapping[str, str]) -> list[ModelInfo]:
            from gigachat import catalogue

            listed = parse(models.Models, content, x_headers(headers)).data
            return catalogue.merged({model.id_: model.type_ for model in listed}, own)

        return Call("GET", "/models", read, repeatable=True)
