"""One type scale, one palette, light and dark: what every page looks like."""

from __future__ import annotations

import streamlit as st

OPTIONS: dict[str, str | int] = {
    "theme.baseRadius": "6px",
    "theme.baseFontSize": 15,
    "theme.headingFontSizes": '["1.5rem", "1.15rem", "1rem", "1rem", "1rem", "1rem"]',
    "theme.headingFontWeights": "[600, 600, 600, 600, 600, 600]",
    "theme.showWidgetBorder": True,
    "theme.light.primaryColor": "#0b63a5",
    "theme.light.backgroundColor": "#ffffff",
    "theme.light.secondaryBackgroundColor": "#f3f5f8",
    "theme.light.textColor": "#1c2430",
    "theme.light.linkColor": "#0b63a5",
    "theme.dark.primaryColor": "#5fb0ea",
    "theme.dark.backgroundColor": "#12161c",
    "theme.dark.secondaryBackgroundColor": "#1c222b",
    "theme.dark.textColor": "#e8ecf1",
    "theme.dark.linkColor": "#7cc0f2",
}
"""Of Streamlit's configuration."""

SEQUENTIAL = "viridis"
DIVERGING = "blueorange"
CATEGORIES = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#b8a000", "#7f7f7f")
"""Colours that people with any colour vision tell apart (Okabe and Ito 2008), the yellow darker so that it is seen on
white. The last one is for everything else."""

FRAME, LINES, MISSING, PROFILE = "#d55e00", "#888888", "#c8c8c8", "#3a87c8"
"""Around what is selected, around everything else, where nothing is known, and of lines that stand alone; the last is
seen on white and on black."""

OUTLINE = (("#ffffff", 5.0), ("#111111", 2.5))
"""Two lines, one upon the other, that are seen on every colour of a map; with their widths."""

CONTROL_MARKS = {"negcon": "N", "poscon": "P", "treatment": "", "empty": ""}
"""A letter in the well, since colour alone is no mark."""

CHANNEL_COLOURS = {
    "blue": "0046ff",
    "green": "00dc3c",
    "yellow": "e6c800",
    "orange": "ff6e00",
    "red": "ff003c",
    "violet": "ff00c8",
}
"""What channels are shown in: the word that Markdown has for a colour, and the colour itself."""

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#0b63a5"/>'
    '<g fill="#fff"><circle cx="5" cy="5" r="2"/><circle cx="11" cy="5" r="2"/><circle cx="5" cy="11" r="2"/></g>'
    '<circle cx="11" cy="11" r="2" fill="#e69f00"/></svg>'
)
"""Of the pages in a browser: wells. One of Streamlit's own would be fetched from a server elsewhere."""

_CSS = """
<style>
  [data-testid="stMainBlockContainer"] { padding-top: 3.5rem; max-width: 1400px; }
  [data-testid="stHeader"] { border-bottom: 1px solid color-mix(in srgb, currentColor 12%, transparent); }
  [data-testid="stMetricValue"] { font-size: 1.35rem; }
  [data-testid="stMainMenu"], [data-testid="stAppDeployButton"] { display: none; }
  [data-testid="stStatusWidget"] { display: none; }  /* it comes and goes with every look at a run */
  [data-testid="stCaptionContainer"] { opacity: 0.78; }  /* so that it is read: the contrast is above 4.5 */
  [data-testid="stDownloadButton"] button { white-space: nowrap; }
  @media (max-width: 1150px) {
    [data-testid="stHorizontalBlock"]:has(> [data-testid="stColumn"] [data-testid="stVegaLiteChart"]) {
      flex-wrap: wrap;
      > [data-testid="stColumn"] { flex: 1 1 100%; min-width: 100%; }
    }
  }
  @media (max-width: 1320px) {
    .st-key-map_and_well > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"] {
      flex-wrap: wrap;
      > [data-testid="stColumn"] { flex: 1 1 100%; min-width: 100%; }
    }
  }
</style>
"""

_CSS_OF_DARK = """
<style>
  [data-testid="stBaseButton-primary"], [data-testid="stBaseButton-primaryFormSubmit"] { color: #12161c; }
</style>
"""


def dress() -> None:
    """Set what every page shares; called once a run of the script, before anything else is drawn."""
    st.html(_CSS + _CSS_OF_DARK if is_dark() else _CSS)


def is_dark() -> bool:
    """Return whether this visitor looks at the dark theme."""
    return st.context.theme.type == "dark"
