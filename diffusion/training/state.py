"""All of a run between two of its steps, so that one that was stopped, or lost its machine, goes on exactly."""

from __future__ import annotations

import io
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, cast

import torch

from diffusion.networks.kinds import find_kind
from diffusion.networks.network import TrainableNetwork
from diffusion.training.config import MAY_CHANGE, TrainConfig, TrainError
from diffusion.training.history import LossHistory


@dataclass
class TrainingState:
    """A run as it stands between two steps: all that is needed to go on exactly."""

    network: TrainableNetwork
    average: TrainableNetwork
    optimizer: Any
    scaler: Any
    history: LossHistory
    # Of a student that is matched to its teacher: the critic and its optimizer.
    critic: TrainableNetwork | None = None
    critic_optimizer: Any = None
    step: int = 0
    seconds: float = 0.0
    # Of the steps since the last row of the log.
    losses: list[float] = field(default_factory=list)
    # Whether it is between two steps, and not in the middle of one.
    whole: bool = True

    def to_bytes(self, config: TrainConfig) -> bytes:
        buffer = io.BytesIO()
        torch.save({"network": self.network.state_dict(), "average": self.average.state_dict(),
                    "optimizer": self.optimizer.state_dict(), "scaler": self.scaler and self.scaler.state_dict(),
                    "history": [torch.from_numpy(self.history.losses), torch.from_numpy(self.history.count)],
                    "critic": self.critic and self.critic.state_dict(),
                    "critic_optimizer": self.critic_optimizer and self.critic_optimizer.state_dict(),
                    "step": self.step, "seconds": self.seconds, "losses": self.losses,
                    "config": asdict(config),
                    "architecture": asdict(cast(Any, self.network.config))}, buffer)  # fmt: skip
        return buffer.getvalue()

    def load(self, path: Path, config: TrainConfig, kind: str) -> None:
        """Take everything from a checkpoint.

        Raises:
            TrainError: it was made with other settings.
        """
        # Loading copies to where each parameter is, which may be another device than in the run that was stopped.
        state = torch.load(path, map_location="cpu", weights_only=True)
        today: Any = self.network.config
        usual = {each.name: each.default for each in fields(today) if each.default is not MISSING}
        began = find_kind(kind).read_config(usual | state["architecture"])
        before, now = (
            {"network": network} | {k: v for k, v in train.items() if k not in MAY_CHANGE}
            for network, train in ((began, state["config"]), (today, asdict(config)))
        )
        for name, value in now.items():
            # What the run does not say was not yet to be chosen when it began.
            if before.get(name, asdict(TrainConfig())[name] if name != "network" else None) != value:
                raise TrainError(f"The run in {path.parent} began with {name} = {before[name]}, not {value}; "
                                 "go on with that, or choose another folder.")  # fmt: skip
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler is not None and state["scaler"] is not None:
            self.scaler.load_state_dict(state["scaler"])
        if self.critic is not None:
            self.critic.load_state_dict(state["critic"])
            self.critic_optimizer.load_state_dict(state["critic_optimizer"])
        self.history = LossHistory(*(array.numpy() for array in state["history"]))
        self.step, self.seconds, self.losses = state["step"], state["seconds"], state["losses"]
