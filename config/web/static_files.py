"""Static files of production: named by their content, compressed once, cached for good."""

from servestatic.storage import CompressedManifestStaticFilesStorage


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):
    # `import "./fold.js"` becomes `import "./fold.0123456789ab.js"` too; off by default in Django.
    # It misses an import without its semicolon: tests/config/web/test_static.py looks for those.
    support_js_module_import_aggregation = True
    # Each pass carries a changed name one import further up; the longest chain decides. The default
    # is 5, and what needs more than this many is a circle of imports.
    max_post_process_passes = 25
