package org.ftcluster.worker.jinja;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What a function, filter, test or macro is called with. */
record Arguments(List<@Nullable Object> positional, Map<String, @Nullable Object> named) {
  boolean has(int index, String name) {
    return index < positional.size() || named.containsKey(name);
  }

  /** An argument by its place or its name. */
  @Nullable Object get(int index, String name, @Nullable Object fallback) {
    if (index < positional.size()) {
      return positional.get(index);
    }
    return named.containsKey(name) ? named.get(name) : fallback;
  }

  @Nullable Object require(int index, String name) {
    if (!has(index, name)) {
      throw new TemplateException("the argument %s is missing".formatted(name));
    }
    return get(index, name, null);
  }

  String text(int index, String name) {
    return Values.requireText(require(index, name));
  }

  /** A text, or null where it is left out or none. */
  @Nullable String textOrNull(int index, String name) {
    Object value = get(index, name, null);
    return value == null ? null : Values.requireText(value);
  }

  int whole(int index, String name, int fallback) {
    return Values.index(get(index, name, (long) fallback));
  }

  boolean truth(int index, String name, boolean fallback) {
    return Values.truth(get(index, name, fallback));
  }

  /** Without the first, which must be there. */
  Arguments rest() {
    if (positional.isEmpty()) {
      throw new TemplateException("an argument is missing");
    }
    return new Arguments(positional.subList(1, positional.size()), named);
  }

  /** Refuses what a function doesn't take. */
  Arguments only(String... names) {
    if (positional.size() > names.length) {
      throw new TemplateException(
          "%d arguments are more than the %d that it takes here"
              .formatted(positional.size(), names.length));
    }
    for (String name : named.keySet()) {
      int place = List.of(names).indexOf(name);
      if (place < 0 || place < positional.size()) {
        throw new TemplateException("it has no argument %s here".formatted(name));
      }
    }
    return this;
  }
}
