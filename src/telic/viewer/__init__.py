"""Pages to look at runs with: one HTML file that needs nothing else."""

from telic.viewer._page import report_page as report_page
