"""What every plugin promises."""

from __future__ import annotations

from voxray.testing import check_plugin


def test_the_plugin_is_as_a_plugin_should_be() -> None:
    check_plugin("voxray_webrtc")
