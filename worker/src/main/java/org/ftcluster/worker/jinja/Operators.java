package org.ftcluster.worker.jinja;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What operators and subscripts give. */
final class Operators {
  /** Characters and items that a product may have; a template is no place for more. */
  private static final int MOST = 100_000;

  private Operators() {}

  static @Nullable Object binary(String operator, @Nullable Object left, @Nullable Object right) {
    return switch (operator) {
      case "~" -> Values.text(left) + Values.text(right);
      case "+" -> plus(left, right);
      case "*" -> times(left, right);
      default -> arithmetic(operator, left, right);
    };
  }

  private static Object plus(@Nullable Object left, @Nullable Object right) {
    if (left instanceof String a && right instanceof String b) {
      return a + b;
    }
    if (left instanceof List<?> a
        && right instanceof List<?> b
        && a instanceof Tuple == b instanceof Tuple) {
      List<@Nullable Object> both = new ArrayList<>(a);
      both.addAll(b);
      return alike(a, both);
    }
    return arithmetic("+", left, right);
  }

  private static Object times(@Nullable Object left, @Nullable Object right) {
    if (left instanceof String text) {
      int count = repetitions(right, text.length());
      return text.repeat(count);
    }
    if (left instanceof List<?> items) {
      List<@Nullable Object> repeated = new ArrayList<>();
      int count = repetitions(right, items.size());
      for (int i = 0; i < count; i++) {
        repeated.addAll(items);
      }
      return alike(items, repeated);
    }
    return arithmetic("*", left, right);
  }

  /** A tuple where the original is one. */
  private static List<@Nullable Object> alike(List<?> original, List<@Nullable Object> items) {
    return original instanceof Tuple ? new Tuple(items) : items;
  }

  private static int repetitions(@Nullable Object count, int length) {
    int times = Math.max(0, Values.index(count));
    if ((long) times * length > MOST) {
      throw new TemplateException("%d times %d is too much".formatted(times, length));
    }
    return times;
  }

  private static Object arithmetic(String operator, @Nullable Object left, @Nullable Object right) {
    if (!Values.isNumber(left) || !Values.isNumber(right)) {
      throw new TemplateException(
          "%s %s %s isn't possible".formatted(Values.shown(left), operator, Values.shown(right)));
    }
    boolean real = left instanceof Double || right instanceof Double || operator.equals("/");
    boolean divides = operator.equals("/") || operator.equals("//") || operator.equals("%");
    if (divides && Values.toDouble(right) == 0) {
      throw new TemplateException("a division by 0");
    }
    return real
        ? real(operator, Values.toDouble(left), Values.toDouble(right))
        : Values.whole(whole(operator, Values.toWhole(left), Values.toWhole(right)));
  }

  private static double real(String operator, double a, double b) {
    return switch (operator) {
      case "+" -> a + b;
      case "-" -> a - b;
      case "*" -> a * b;
      case "/" -> a / b;
      case "//" -> floor(a, b);
      case "%" -> remainder(a, b);
      case "**" -> Math.pow(a, b);
      default -> throw new IllegalArgumentException("no operator " + operator);
    };
  }

  /** With the sign of {@code b}, as Python has it. */
  private static double remainder(double a, double b) {
    double remainder = a % b;
    if (remainder == 0) {
      return Math.copySign(0, b);
    }
    return remainder < 0 == b < 0 ? remainder : remainder + b;
  }

  private static double floor(double a, double b) {
    double exact = (a - remainder(a, b)) / b;
    double floor = Math.floor(exact);
    return exact - floor > 0.5 ? floor + 1 : floor;
  }

  private static BigInteger whole(String operator, BigInteger a, BigInteger b) {
    return switch (operator) {
      case "+" -> a.add(b);
      case "-" -> a.subtract(b);
      case "*" -> a.multiply(b);
      case "//" -> floor(a, b);
      case "%" -> a.subtract(b.multiply(floor(a, b)));
      case "**" -> {
        if (b.signum() < 0 || b.bitLength() > 10 || a.bitLength() > 64) {
          throw new TemplateException("%s is no exponent here".formatted(b));
        }
        yield a.pow(b.intValue());
      }
      default -> throw new IllegalArgumentException("no operator " + operator);
    };
  }

  private static BigInteger floor(BigInteger a, BigInteger b) {
    BigInteger[] parts = a.divideAndRemainder(b);
    boolean below = parts[1].signum() != 0 && parts[1].signum() != b.signum();
    return below ? parts[0].subtract(BigInteger.ONE) : parts[0];
  }

  static Object signed(int sign, @Nullable Object value) {
    return arithmetic("*", (long) sign, value);
  }

  static Object absolute(@Nullable Object value) {
    return value instanceof Double number
        ? (Object) Math.abs(number)
        : Values.whole(Values.toWhole(value).abs());
  }

  static boolean compare(String operator, @Nullable Object left, @Nullable Object right) {
    return switch (operator) {
      case "==" -> Values.equal(left, right);
      case "!=" -> !Values.equal(left, right);
      case "in" -> Values.contains(right, left);
      case "not in" -> !Values.contains(right, left);
      case "<" -> Values.compare(left, right) < 0;
      case "<=" -> Values.compare(left, right) <= 0;
      case ">" -> Values.compare(left, right) > 0;
      case ">=" -> Values.compare(left, right) >= 0;
      default -> throw new IllegalArgumentException("no operator " + operator);
    };
  }

  /** {@code value.name}: a method, or else an item. */
  static @Nullable Object attribute(@Nullable Object value, String name) {
    requireDefined(value);
    Callable method = Methods.of(value, name);
    return method != null ? method : named(value, name);
  }

  /** {@code value[key]}: an item, or else a method. */
  static @Nullable Object item(@Nullable Object value, @Nullable Object key) {
    requireDefined(value);
    if (key instanceof String name) {
      if (value instanceof Map<?, ?> map && map.containsKey(name)) {
        return map.get(name);
      }
      return attribute(value, name);
    }
    if (value instanceof Lazy || value instanceof Safe) {
      throw new TemplateException("%s has no places".formatted(Values.shown(value)));
    }
    boolean place = Values.isWhole(key) || key instanceof Boolean;
    if (place && (value instanceof List || value instanceof String)) {
      int size = Values.length(value);
      int index = Values.index(key);
      int at = index < 0 ? index + size : index;
      if (at >= 0 && at < size) {
        return Values.items(value).get(at);
      }
    }
    return new Undefined("[%s]".formatted(Values.shown(key)));
  }

  private static @Nullable Object named(@Nullable Object value, String name) {
    return switch (value) {
      case Map<?, ?> map when map.containsKey(name) -> map.get(name);
      case Namespace namespace when namespace.values().containsKey(name) ->
          namespace.values().get(name);
      case Loop loop -> loop.attribute(name);
      case Lazy _ ->
          throw new TemplateException("%s has no %s".formatted(Values.shown(value), name));
      case null, default -> new Undefined(name);
    };
  }

  private static void requireDefined(@Nullable Object value) {
    if (value instanceof Undefined undefined) {
      throw undefined.error();
    }
  }

  /** Items from one to before another, as Python counts them; null for an end that isn't given. */
  static Object slice(
      @Nullable Object value,
      @Nullable Object from,
      @Nullable Object to,
      @Nullable Object stepGiven) {
    requireDefined(value);
    if (!(value instanceof List) && !(value instanceof String)) {
      throw new TemplateException("%s can't be sliced".formatted(Values.shown(value)));
    }
    List<@Nullable Object> items = Values.items(value);
    int step = stepGiven == null ? 1 : Values.index(stepGiven);
    if (step == 0) {
      throw new TemplateException("a slice's step is 0");
    }
    int size = items.size();
    int lowest = step > 0 ? 0 : -1;
    int highest = step > 0 ? size : size - 1;
    int first = from == null ? (step > 0 ? lowest : highest) : bound(from, size, lowest, highest);
    int last = to == null ? (step > 0 ? highest : lowest) : bound(to, size, lowest, highest);
    List<@Nullable Object> slice = new ArrayList<>();
    for (long i = first; step > 0 ? i < last : i > last; i += step) {
      slice.add(items.get((int) i));
    }
    if (value instanceof List<?> whole) {
      return alike(whole, slice);
    }
    StringBuilder text = new StringBuilder();
    slice.forEach(text::append);
    return text.toString();
  }

  private static int bound(@Nullable Object given, int size, int lowest, int highest) {
    int index = Values.index(given);
    return Math.clamp(index < 0 ? (long) index + size : index, lowest, highest);
  }

  /** The function {@code range}. */
  static Lazy range(Arguments given) {
    Arguments arguments = given.only("start", "stop", "step");
    arguments.require(0, "start");
    boolean both = arguments.has(1, "stop");
    long first = both ? arguments.whole(0, "start", 0) : 0;
    long end = arguments.whole(both ? 1 : 0, "stop", 0);
    long step = arguments.whole(2, "step", 1);
    if (step == 0) {
      throw new TemplateException("a range's step is 0");
    }
    if ((end - first) / step > MOST) {
      throw new TemplateException("a range of more than %d numbers".formatted(MOST));
    }
    List<@Nullable Object> range = new ArrayList<>();
    for (long i = first; step > 0 ? i < end : i > end; i += step) {
      range.add(i);
    }
    return Lazy.view(range);
  }
}
