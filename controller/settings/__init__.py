"""The settings: ``values`` are their types, ``model`` their groups; ``sources`` load them, other modules print them."""

from controller.settings.broker import BrokerSettings as BrokerSettings
from controller.settings.model import LogSettings as LogSettings
from controller.settings.model import RegionSettings as RegionSettings
from controller.settings.model import Settings as Settings
from controller.settings.model import WatchSettings as WatchSettings
from controller.settings.model import WindowOverrideSettings as WindowOverrideSettings
from controller.settings.model import WindowSettings as WindowSettings
from controller.settings.page import HttpSettings as HttpSettings
from controller.settings.page import OpsSettings as OpsSettings
from controller.settings.values import SecretUrl as SecretUrl
from controller.settings.values import without_credentials as without_credentials
