/**
 * Jinja templates as chat models have them: the part of the language of Jinja 3.1 that they use, as
 * Transformers sets it up ({@code trim_blocks}, {@code lstrip_blocks}, loop controls, {@code
 * tojson} as Python writes it, {@code raise_exception}, and {@code generation} around what a model
 * is to learn). Strings, numbers and lists are Python's. What isn't known is an error, never other
 * text.
 */
@NullMarked
package org.ftcluster.worker.jinja;

import org.jspecify.annotations.NullMarked;
