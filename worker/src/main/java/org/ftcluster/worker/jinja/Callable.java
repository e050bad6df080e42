package org.ftcluster.worker.jinja;

import org.jspecify.annotations.Nullable;

/** A function, a macro, or a method of a value. */
@FunctionalInterface
interface Callable {
  @Nullable Object call(Arguments arguments);
}
