package org.ftcluster.worker.jinja;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.StringJoiner;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Python's values: null, {@link Boolean}, {@link Long}, {@link BigInteger}, {@link Double}, {@link
 * String}, {@link List}, {@link Map} by strings, and besides {@link Undefined}, {@link Namespace},
 * {@link Callable}, {@link Loop}, {@link Lazy} and {@link Safe}. Lengths and places in strings
 * count code points.
 */
final class Values {
  private Values() {}

  /** The smallest type that holds it. */
  static Number whole(BigInteger value) {
    return value.bitLength() < Long.SIZE ? (Number) value.longValue() : value;
  }

  static boolean isWhole(@Nullable Object value) {
    return value instanceof Long || value instanceof BigInteger;
  }

  static boolean isText(@Nullable Object value) {
    return value instanceof String || value instanceof Safe;
  }

  static boolean isNumber(@Nullable Object value) {
    return isWhole(value) || value instanceof Double || value instanceof Boolean;
  }

  static boolean truth(@Nullable Object value) {
    return switch (value) {
      case null -> false;
      case Boolean truth -> truth;
      case Long number -> number != 0;
      case BigInteger number -> number.signum() != 0;
      case Double number -> number != 0;
      case String text -> !text.isEmpty();
      case List<?> items -> !items.isEmpty();
      case Map<?, ?> items -> !items.isEmpty();
      case Safe safe -> !safe.text().isEmpty();
      case Lazy lazy -> lazy.truth();
      case Undefined _ -> false;
      default -> true;
    };
  }

  /** What {@code str()} gives. */
  static String text(@Nullable Object value) {
    return switch (value) {
      case String text -> text;
      case Safe safe -> safe.text();
      case Undefined _ -> "";
      case null, default -> represented(value);
    };
  }

  /** What {@code repr()} gives. */
  static String represented(@Nullable Object value) {
    return switch (value) {
      case null -> "None";
      case Boolean truth -> truth ? "True" : "False";
      case Double number -> real(number);
      case String text -> quoted(text);
      case Tuple items -> {
        String inside = items.stream().map(Values::represented).collect(Collectors.joining(", "));
        yield "(" + inside + (items.size() == 1 ? ",)" : ")");
      }
      case List<?> items ->
          items.stream().map(Values::represented).collect(Collectors.joining(", ", "[", "]"));
      case Map<?, ?> items -> {
        StringJoiner joined = new StringJoiner(", ", "{", "}");
        items.forEach((key, item) -> joined.add(represented(key) + ": " + represented(item)));
        yield joined.toString();
      }
      case Safe safe -> "Markup(" + quoted(safe.text()) + ")";
      case Undefined _ -> "Undefined";
      case Callable _, Namespace _, Loop _, Lazy _ ->
          throw new TemplateException("%s has no text".formatted(shown(value)));
      default -> value.toString();
    };
  }

  /** The shortest decimal that is this number, as Python writes it. */
  static String real(double value) {
    if (Double.isNaN(value)) {
      return "nan";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "inf" : "-inf";
    }
    if (value == 0) {
      return 1 / value > 0 ? "0.0" : "-0.0";
    }
    BigDecimal decimal = new BigDecimal(Double.toString(value)).stripTrailingZeros();
    int exponent = decimal.precision() - decimal.scale() - 1;
    if (exponent >= -4 && exponent < 16) {
      String plain = decimal.toPlainString();
      return plain.contains(".") ? plain : plain + ".0";
    }
    String digits = decimal.unscaledValue().abs().toString();
    String mantissa = digits.length() == 1 ? digits : digits.charAt(0) + "." + digits.substring(1);
    return String.format(
        Locale.ROOT,
        "%s%se%s%02d",
        value < 0 ? "-" : "",
        mantissa,
        exponent < 0 ? "-" : "+",
        Math.abs(exponent));
  }

  private static String quoted(String text) {
    char quote = text.contains("'") && !text.contains("\"") ? '"' : '\'';
    StringBuilder quoted = new StringBuilder().append(quote);
    text.codePoints()
        .forEach(
            c -> {
              switch (c) {
                case '\n' -> quoted.append("\\n");
                case '\t' -> quoted.append("\\t");
                case '\r' -> quoted.append("\\r");
                case '\\' -> quoted.append("\\\\");
                default -> {
                  if (c == quote) {
                    quoted.append('\\').append(quote);
                  } else if (isPrintable(c)) {
                    quoted.appendCodePoint(c);
                  } else {
                    String form = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
                    quoted.append(String.format(Locale.ROOT, form, c));
                  }
                }
              }
            });
    return quoted.append(quote).toString();
  }

  private static boolean isPrintable(int c) {
    return switch (Character.getType(c)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.PRIVATE_USE,
          Character.UNASSIGNED,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR ->
          false;
      case Character.SPACE_SEPARATOR -> c == ' ';
      default -> true;
    };
  }

  static String requireText(@Nullable Object value) {
    if (value instanceof String text) {
      return text;
    }
    throw new TemplateException("%s is no text".formatted(shown(value)));
  }

  /** A whole number that can count items. */
  static int index(@Nullable Object value) {
    return switch (value) {
      case Long number when number.intValue() == number -> number.intValue();
      case Boolean truth -> truth ? 1 : 0;
      case null, default ->
          throw new TemplateException("%s is no whole number".formatted(shown(value)));
    };
  }

  static Map<?, ?> requireMap(@Nullable Object value) {
    if (value instanceof Map<?, ?> map) {
      return map;
    }
    throw new TemplateException("%s is no dictionary".formatted(shown(value)));
  }

  /** What a loop goes through: items, keys, or characters. */
  static List<@Nullable Object> items(@Nullable Object value) {
    return switch (value) {
      case List<?> items -> new ArrayList<>(items);
      case Map<?, ?> items -> new ArrayList<>(items.keySet());
      case String text ->
          text.codePoints().mapToObj(Character::toString).collect(Collectors.toList());
      case Lazy lazy -> lazy.take();
      case Undefined _ -> new ArrayList<>();
      case null, default -> throw new TemplateException("%s has no items".formatted(shown(value)));
    };
  }

  static int length(@Nullable Object value) {
    return switch (value) {
      case String text -> text.codePointCount(0, text.length());
      case List<?> items -> items.size();
      case Map<?, ?> items -> items.size();
      case Lazy lazy -> lazy.length();
      case Undefined _ -> 0;
      case null, default -> throw new TemplateException("%s has no length".formatted(shown(value)));
    };
  }

  static boolean contains(@Nullable Object container, @Nullable Object item) {
    return switch (container) {
      case String text -> text.contains(requireText(item));
      case Map<?, ?> items -> item instanceof String && items.containsKey(item);
      case null, default -> items(container).stream().anyMatch(other -> equal(other, item));
    };
  }

  static boolean equal(@Nullable Object left, @Nullable Object right) {
    if (isNumber(left) && isNumber(right)) {
      return compareNumbers(left, right) == 0;
    }
    if (left instanceof List<?> a && right instanceof List<?> b) {
      if (a.size() != b.size() || a instanceof Tuple != b instanceof Tuple) {
        return false;
      }
      for (int i = 0; i < a.size(); i++) {
        if (!equal(a.get(i), b.get(i))) {
          return false;
        }
      }
      return true;
    }
    if (left instanceof Map<?, ?> a && right instanceof Map<?, ?> b) {
      return a.keySet().equals(b.keySet())
          && a.keySet().stream().allMatch(key -> equal(a.get(key), b.get(key)));
    }
    if (left instanceof Undefined && right instanceof Undefined) {
      return true;
    }
    if (left instanceof Safe || right instanceof Safe) {
      return isText(left) && isText(right) && text(left).equals(text(right));
    }
    return Objects.equals(left, right);
  }

  /** Which of two numbers, texts or lists comes first. */
  static int compare(@Nullable Object left, @Nullable Object right) {
    if (isNumber(left) && isNumber(right)) {
      return compareNumbers(left, right);
    }
    if (left instanceof String a && right instanceof String b) {
      return Strings.compare(a, b);
    }
    if (left instanceof List<?> a && right instanceof List<?> b) {
      for (int i = 0; i < Math.min(a.size(), b.size()); i++) {
        if (!equal(a.get(i), b.get(i))) {
          return compare(a.get(i), b.get(i));
        }
      }
      return Integer.compare(a.size(), b.size());
    }
    throw new TemplateException("%s and %s have no order".formatted(shown(left), shown(right)));
  }

  private static int compareNumbers(@Nullable Object left, @Nullable Object right) {
    if (left instanceof Double || right instanceof Double) {
      return Double.compare(toDouble(left), toDouble(right));
    }
    return toWhole(left).compareTo(toWhole(right));
  }

  static double toDouble(@Nullable Object value) {
    return value instanceof Double number ? number + 0.0 : toWhole(value).doubleValue();
  }

  static BigInteger toWhole(@Nullable Object value) {
    return switch (value) {
      case Long number -> BigInteger.valueOf(number);
      case BigInteger number -> number;
      case Boolean truth -> truth ? BigInteger.ONE : BigInteger.ZERO;
      case null, default ->
          throw new TemplateException("%s is no whole number".formatted(shown(value)));
    };
  }

  /** How messages call a value. */
  static String shown(@Nullable Object value) {
    return switch (value) {
      case Undefined undefined -> "'%s', which is undefined,".formatted(undefined.name());
      case Callable _ -> "a function";
      case Namespace _ -> "a namespace";
      case Loop _ -> "a loop";
      case Lazy _ -> "a generator or view";
      case null, default -> {
        String text = represented(value);
        yield text.length() <= 60 ? text : text.substring(0, 60) + "...";
      }
    };
  }
}
