"""The config: strict YAML, checked against the registry and expanded to its grid."""

from poisonbench.config.choices import Choice
from poisonbench.config.experiment import Config, load
from poisonbench.config.quantities import Rate, SplitChoice
from poisonbench.config.strict_yaml import ConfigError

__all__ = ["Choice", "Config", "ConfigError", "Rate", "SplitChoice", "load"]
