package org.ftcluster.worker.jinja;

/**
 * What a name stands for that nothing is known of: no text, not true, no items; anything else that
 * is wanted of it is an error.
 */
record Undefined(String name) {
  TemplateException error() {
    return new TemplateException("'%s' is undefined".formatted(name));
  }
}
