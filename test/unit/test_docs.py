# SPDX-License-Identifier: Apache-2.0
"""The documents name what there is, and their links lead somewhere."""

import re
from pathlib import Path

import click
import pytest

from meta_repo_ros.cli import main
from meta_repo_ros.graph import NODES

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md')])


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r'```.*?```', '', page.read_text(encoding='utf-8'), flags=re.DOTALL)
    targets = re.findall(r'\]\(([^)#\s]+)[^)]*\)', text)
    local = [target for target in targets if not re.match(r'https?:|mailto:', target)]
    missing = [target for target in local if not (page.parent / target).exists()]
    assert not missing


def test_index_links_every_page() -> None:
    text = (ROOT / 'docs' / 'index.md').read_text(encoding='utf-8')
    pages = {path.relative_to(ROOT / 'docs').as_posix() for path in (ROOT / 'docs').rglob('*.md')}
    assert pages - set(re.findall(r'\(([^)]+\.md)\)', text)) == {'index.md'}


def test_readme_lists_every_node() -> None:
    rows = re.findall(
        r'^\| `(\w+)` \|', (ROOT / 'README.md').read_text(encoding='utf-8'), re.MULTILINE
    )
    assert sorted(rows) == sorted(NODES)


def test_readme_shows_commands_and_scripts_that_exist() -> None:
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    context = click.Context(main)
    commands = set(main.list_commands(context))
    assert set(re.findall(r'meta-repo ([a-z][a-z-]*)', text)) <= commands
    for script in re.findall(r'scripts/[\w.-]+\.sh', text):
        assert (ROOT / script).is_file()
