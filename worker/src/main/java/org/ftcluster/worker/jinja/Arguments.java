package org.ftcluster.worker.jinja;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What a function, filter, test or macro is called with. */
record Arguments(List<@Nullable Object> positional, Map<String, @Nullable Object> named) {
  static Arguments of(@Nullable Object... positional) {
    return new Arguments(java.util.Arrays.asList(positional), Map.of());
  }

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

  /** Without the first. */
  Arguments rest() {
    return new Arguments(positional.subList(1, positional.size()), named);
  }

  /** Refuses more than a function takes. */
  Arguments atMost(int count, String... names) {
    if (positional.size() > count) {
      throw new TemplateException(
          "%d arguments are more than the %d that it takes".formatted(positional.size(), count));
    }
    for (String name : named.keySet()) {
      if (!List.of(names).contains(name)) {
        throw new TemplateException("it has no argument %s".formatted(name));
      }
    }
    return this;
  }
}
