package org.ftcluster.worker.jinja;

import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Names that can be set from within loops. */
record Namespace(Map<String, @Nullable Object> values) {
  static Namespace of(Arguments arguments) {
    return new Namespace(dict(arguments));
  }

  /** The function {@code dict}: what is in a dictionary, and what has a name. */
  static Map<String, @Nullable Object> dict(Arguments arguments) {
    Map<String, @Nullable Object> dict = new LinkedHashMap<>();
    if (arguments.positional().size() > 1) {
      throw new TemplateException("only one dictionary can be taken over");
    }
    for (Object given : arguments.positional()) {
      Values.requireMap(given).forEach((key, value) -> dict.put(Values.requireText(key), value));
    }
    dict.putAll(arguments.named());
    return dict;
  }
}
