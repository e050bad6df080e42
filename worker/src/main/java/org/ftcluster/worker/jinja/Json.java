package org.ftcluster.worker.jinja;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Values as Python's {@code json.dumps} writes them, with letters that aren't ASCII's as they are.
 */
final class Json {
  private final int indent;
  private final String itemSeparator;
  private final String keySeparator;
  private final boolean sorted;
  private final StringBuilder out = new StringBuilder();

  private Json(int indent, String itemSeparator, String keySeparator, boolean sorted) {
    this.indent = indent;
    this.itemSeparator = itemSeparator;
    this.keySeparator = keySeparator;
    this.sorted = sorted;
  }

  /** The filter {@code tojson} of Transformers. */
  static String filter(@Nullable Object value, Arguments arguments) {
    if (arguments.truth(0, "ensure_ascii", false)) {
      throw new TemplateException("tojson keeps letters as they are; leave ensure_ascii out");
    }
    int indent =
        arguments.get(1, "indent", null) == null
            ? -1
            : Math.clamp(arguments.whole(1, "indent", 0), 0, Strings.MOST_BLANKS);
    String items = indent < 0 ? ", " : ",";
    String keys = ": ";
    Object separators = arguments.get(2, "separators", null);
    if (separators != null) {
      List<@Nullable Object> pair = Values.items(separators);
      if (pair.size() != 2) {
        throw new TemplateException("separators are two, not %d".formatted(pair.size()));
      }
      items = Values.requireText(pair.get(0));
      keys = Values.requireText(pair.get(1));
    }
    Json json = new Json(indent, items, keys, arguments.truth(3, "sort_keys", false));
    json.write(value, 0);
    return json.out.toString();
  }

  private void write(@Nullable Object value, int depth) {
    switch (value) {
      case null -> out.append("null");
      case Boolean truth -> out.append(truth ? "true" : "false");
      case Long number -> out.append(number);
      case BigInteger number -> out.append(number);
      case Double number -> out.append(real(number));
      case String text -> quote(text);
      case List<?> items -> {
        out.append('[');
        lines(items, depth, item -> write(item, depth + 1));
        out.append(']');
      }
      case Map<?, ?> items -> {
        out.append('{');
        List<String> keys = new ArrayList<>();
        items.keySet().forEach(key -> keys.add(Values.requireText(key)));
        if (sorted) {
          keys.sort(Strings::compare);
        }
        lines(
            keys,
            depth,
            key -> {
              quote((String) key);
              out.append(keySeparator);
              write(items.get(key), depth + 1);
            });
        out.append('}');
      }
      default -> throw new TemplateException("%s can't be JSON".formatted(Values.shown(value)));
    }
  }

  private static String real(double number) {
    return switch (Values.real(number)) {
      case "nan" -> "NaN";
      case "inf" -> "Infinity";
      case "-inf" -> "-Infinity";
      case String text -> text;
    };
  }

  private void lines(Collection<?> items, int depth, Consumer<Object> write) {
    boolean first = true;
    for (Object item : items) {
      out.append(first ? "" : itemSeparator);
      newLine(depth + 1);
      write.accept(item);
      first = false;
    }
    if (!first) {
      newLine(depth);
    }
  }

  private void newLine(int depth) {
    if (indent >= 0) {
      out.append('\n').repeat(' ', indent * depth);
    }
  }

  private void quote(String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"' -> out.append("\\\"");
        case '\\' -> out.append("\\\\");
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        case '\b' -> out.append("\\b");
        case '\f' -> out.append("\\f");
        default -> {
          if (c < ' ') {
            out.append(String.format(Locale.ROOT, "\\u%04x", (int) c));
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }
}
