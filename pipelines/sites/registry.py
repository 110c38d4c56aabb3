"""The tumor sites of this project, by name."""

from pipelines.sites import generic, glioma, sarcoma
from pipelines.sites.base import Site

SITES: dict[str, Site] = {site.name: site for site in (glioma.SITE, sarcoma.SITE, generic.SITE)}
