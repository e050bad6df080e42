package org.ftcluster.worker.jinja;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import org.jspecify.annotations.Nullable;

/**
 * A loop as its body sees it. It looks ahead only as far as it is asked to, since a condition of
 * items may depend on what the rounds before them set.
 */
final class Loop {
  private static final Object NONE = new Object();

  private final Iterator<@Nullable Object> rest;

  /** Items that were looked at and not yet had, {@link #NONE} for none. */
  private final Deque<Object> ahead = new ArrayDeque<>();

  private int index = -1;
  private @Nullable Object previous = new Undefined("previtem");
  private @Nullable Object current = new Undefined("previtem");

  Loop(Iterator<@Nullable Object> items) {
    this.rest = items;
  }

  /** Goes on to the next item, if there is one. */
  boolean advance() {
    if (!isMore()) {
      return false;
    }
    previous = current;
    Object next = ahead.remove();
    current = next == NONE ? null : next;
    index++;
    return true;
  }

  @Nullable Object item() {
    return current;
  }

  private boolean isMore() {
    if (ahead.isEmpty() && rest.hasNext()) {
      look();
    }
    return !ahead.isEmpty();
  }

  private void look() {
    Object next = rest.next();
    ahead.add(next == null ? NONE : next);
  }

  private long length() {
    while (rest.hasNext()) {
      look();
    }
    return index + 1L + ahead.size();
  }

  /** {@code loop.name}. */
  @Nullable Object attribute(String name) {
    return switch (name) {
      case "index" -> index + 1L;
      case "index0" -> (long) index;
      case "first" -> index == 0;
      case "last" -> !isMore();
      case "length" -> length();
      case "revindex" -> length() - index;
      case "revindex0" -> length() - index - 1;
      case "depth" -> 1L; // of loops that call themselves
      case "depth0" -> 0L;
      case "previtem" -> previous;
      case "nextitem" -> {
        Object next = isMore() ? ahead.peek() : new Undefined("nextitem");
        yield next == NONE ? null : next;
      }
      case "cycle" -> (Callable) this::cycle;
      default -> throw new TemplateException("loop has no %s".formatted(name));
    };
  }

  private @Nullable Object cycle(Arguments given) {
    int count = given.positional().size();
    if (count == 0) {
      throw new TemplateException("cycle has nothing to go through");
    }
    return given.positional().get(index % count);
  }
}
