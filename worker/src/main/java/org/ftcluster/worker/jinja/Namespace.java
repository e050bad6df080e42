package org.ftcluster.worker.jinja;

import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Names that can be set from within loops. */
record Namespace(Map<String, @Nullable Object> values) {
  static Namespace of(Arguments arguments) {
    Map<String, @Nullable Object> values = new HashMap<>();
    for (Object first :
        arguments.atMost(1, arguments.named().keySet().toArray(String[]::new)).positional()) {
      Values.requireMap(first).forEach((key, value) -> values.put(Values.requireText(key), value));
    }
    values.putAll(arguments.named());
    return new Namespace(values);
  }
}
