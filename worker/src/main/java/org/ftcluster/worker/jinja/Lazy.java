package org.ftcluster.worker.jinja;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What Python makes only as it is gone through: {@code select} and its like, a dictionary's keys, a
 * range. It has neither text nor places; a generator is true even of nothing.
 */
final class Lazy {
  private final boolean once;
  private List<@Nullable Object> items;

  private Lazy(List<@Nullable Object> items, boolean once) {
    this.items = items;
    this.once = once;
  }

  /** A generator, which is empty once it was gone through. */
  static Lazy once(List<@Nullable Object> items) {
    return new Lazy(items, true);
  }

  /** A view or a range, which has a length and can be gone through again. */
  static Lazy view(List<@Nullable Object> items) {
    return new Lazy(items, false);
  }

  /** Goes through it: a list of one's own. */
  List<@Nullable Object> take() {
    List<@Nullable Object> taken = new ArrayList<>(items);
    if (once) {
      items = List.of();
    }
    return taken;
  }

  boolean truth() {
    return once || !items.isEmpty();
  }

  int length() {
    if (once) {
      throw new TemplateException("a generator has no length; make a list of it");
    }
    return items.size();
  }
}
