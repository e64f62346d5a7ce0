localizations: dict[str, list[str]] = {}
