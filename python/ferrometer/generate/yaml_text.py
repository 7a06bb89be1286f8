"""YAML, as people write it: keys in their order, texts of several lines as blocks."""

from __future__ import annotations

from typing import Any


def to_text(*documents: Any) -> str:
    """The documents as one text. Raises ModuleNotFoundError with the remedy where PyYAML is missing."""
    try:
        import yaml
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            'ferrometer generate needs PyYAML: pip install "ferrometer[generate]"'
        ) from None

    class Dumper(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return str(
        yaml.dump_all(documents, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110, indent=2)
    )
