"""The list of models (reference, section 3)."""

from __future__ import annotations

from gigachat import models
from gigachat._engine.calls import Call, get, segment
from gigachat._engine.endpoint import Mode, Resource, endpoint


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
