package org.ftcluster.worker.jinja;

import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What names stand for in a template, a loop's round or a macro, and around it. */
final class Variables {
  private final @Nullable Variables around;
  private final Map<String, @Nullable Object> values = new HashMap<>();

  Variables(@Nullable Variables around) {
    this.around = around;
  }

  void set(String name, @Nullable Object value) {
    values.put(name, value);
  }

  @Nullable Object get(String name) {
    for (Variables scope = this; scope != null; scope = scope.around) {
      if (scope.values.containsKey(name)) {
        return scope.values.get(name);
      }
    }
    return new Undefined(name);
  }
}
