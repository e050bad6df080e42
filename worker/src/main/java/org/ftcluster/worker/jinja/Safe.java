package org.ftcluster.worker.jinja;

/** Text that the filter {@code safe} marked: to be printed, and nothing else. */
record Safe(String text) {}
