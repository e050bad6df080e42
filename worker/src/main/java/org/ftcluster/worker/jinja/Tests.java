package org.ftcluster.worker.jinja;

import java.math.BigInteger;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** What may follow {@code is}. */
final class Tests {
  @FunctionalInterface
  private interface Test {
    boolean holds(@Nullable Object value, Arguments arguments);
  }

  private static final Map<String, Test> TESTS =
      Map.ofEntries(
          Map.entry("defined", (value, given) -> !(value instanceof Undefined)),
          Map.entry("undefined", (value, given) -> value instanceof Undefined),
          Map.entry("none", (value, given) -> value == null),
          Map.entry("true", (value, given) -> Boolean.TRUE.equals(value)),
          Map.entry("false", (value, given) -> Boolean.FALSE.equals(value)),
          Map.entry("boolean", (value, given) -> value instanceof Boolean),
          Map.entry("integer", (value, given) -> Values.isWhole(value)),
          Map.entry("float", (value, given) -> value instanceof Double),
          Map.entry("number", (value, given) -> Values.isNumber(value)),
          Map.entry("string", (value, given) -> Values.isText(value)),
          Map.entry("mapping", (value, given) -> value instanceof Map),
          Map.entry("iterable", (value, given) -> hasItems(value) || value instanceof Lazy),
          Map.entry("sequence", (value, given) -> hasItems(value)),
          Map.entry(
              "callable",
              (value, given) -> value instanceof Callable || value instanceof Undefined),
          Map.entry("odd", (value, given) -> Values.toWhole(value).testBit(0)),
          Map.entry("even", (value, given) -> !Values.toWhole(value).testBit(0)),
          Map.entry("lower", (value, given) -> isCased(value, Strings::lower, Strings::upper)),
          Map.entry("upper", (value, given) -> isCased(value, Strings::upper, Strings::lower)),
          Map.entry("divisibleby", Tests::divisible),
          Map.entry("in", (value, given) -> Values.contains(given.require(0, "other"), value)),
          Map.entry("sameas", Tests::same),
          Map.entry("equalto", Tests::equal),
          Map.entry("eq", Tests::equal),
          Map.entry("==", Tests::equal),
          Map.entry("ne", (value, given) -> !equal(value, given)),
          Map.entry("!=", (value, given) -> !equal(value, given)),
          Map.entry("lt", (value, given) -> order(value, given) < 0),
          Map.entry("le", (value, given) -> order(value, given) <= 0),
          Map.entry("gt", (value, given) -> order(value, given) > 0),
          Map.entry("ge", (value, given) -> order(value, given) >= 0));

  private static final Set<String> WITH_ARGUMENT =
      Set.of(
          "divisibleby", "in", "sameas", "equalto", "eq", "==", "ne", "!=", "lt", "le", "gt", "ge");

  private Tests() {}

  /** Refuses a test that isn't there. */
  static void require(String name, int line) {
    if (!TESTS.containsKey(name)) {
      throw new TemplateException("there is no test '%s'".formatted(name)).at(line);
    }
  }

  static boolean holds(String name, @Nullable Object value, Arguments arguments) {
    Test test = TESTS.get(name);
    if (test == null) { // of a filter's arguments, which are known only now
      throw new TemplateException("there is no test '%s'".formatted(name));
    }
    return test.holds(
        value, WITH_ARGUMENT.contains(name) ? arguments.only("other") : arguments.only());
  }

  /** Whether letters are all of one case, and there is one that has cases. */
  private static boolean isCased(
      @Nullable Object value, UnaryOperator<String> same, UnaryOperator<String> other) {
    String text = Values.text(value);
    return same.apply(text).equals(text) && !other.apply(text).equals(text);
  }

  private static boolean hasItems(@Nullable Object value) {
    return value instanceof List
        || value instanceof Map
        || value instanceof String
        || value instanceof Undefined;
  }

  private static boolean divisible(@Nullable Object value, Arguments given) {
    BigInteger divisor = Values.toWhole(given.require(0, "other"));
    if (divisor.signum() == 0) {
      throw new TemplateException("nothing is divisible by 0");
    }
    return Values.toWhole(value).mod(divisor.abs()).signum() == 0;
  }

  /** Which numbers and texts are one object is Python's own matter. */
  private static boolean same(@Nullable Object value, Arguments given) {
    if (Values.isText(value) || value instanceof Double || Values.isWhole(value)) {
      throw new TemplateException("sameas isn't for %s".formatted(Values.shown(value)));
    }
    return value == given.require(0, "other");
  }

  private static boolean equal(@Nullable Object value, Arguments given) {
    return Values.equal(value, given.require(0, "other"));
  }

  private static int order(@Nullable Object value, Arguments given) {
    return Values.compare(value, given.require(0, "other"));
  }
}
