"""The only place where parts meet: making a gateway from its settings, and switching its parts on a reload."""
