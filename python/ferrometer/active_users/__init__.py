"""How many distinct users were seen lately, over all workers, without keeping one of them."""

from ferrometer.active_users.users import ActiveUsers

__all__ = ["ActiveUsers"]
