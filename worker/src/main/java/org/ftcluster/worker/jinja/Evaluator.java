package org.ftcluster.worker.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.ftcluster.worker.jinja.Expression.ArgumentList;
import org.jspecify.annotations.Nullable;

/** Values of expressions. */
final class Evaluator {
  private Evaluator() {}

  static @Nullable Object value(Expression expression, Variables variables) {
    return switch (expression) {
      case Expression.Constant(Object value) -> value;
      case Expression.Name(String name) -> variables.get(name);
      case Expression.ListOf(List<Expression> items) -> values(items, variables);
      case Expression.TupleOf(List<Expression> items) -> new Tuple(values(items, variables));
      case Expression.DictOf dict -> dict(dict, variables);
      case Expression.Attribute(Expression of, String name) ->
          Operators.attribute(value(of, variables), name);
      case Expression.Item(Expression of, Expression key) ->
          Operators.item(value(of, variables), value(key, variables));
      case Expression.Slice slice ->
          Operators.slice(
              value(slice.of(), variables),
              optional(slice.from(), variables),
              optional(slice.to(), variables),
              optional(slice.step(), variables));
      case Expression.Call call ->
          at(call.line(), () -> call(call.callee(), call.arguments(), variables));
      case Expression.Filtered(Expression of, String filter, ArgumentList arguments, int line) ->
          at(
              line,
              () -> Filters.apply(filter, value(of, variables), arguments(arguments, variables)));
      case Expression.Tested(Expression of, String test, ArgumentList arguments, int line) ->
          at(line, () -> Tests.holds(test, value(of, variables), arguments(arguments, variables)));
      case Expression.Not(Expression of) -> !truth(of, variables);
      case Expression.Signed(int sign, Expression of) ->
          Operators.signed(sign, value(of, variables));
      case Expression.Binary(String operator, Expression left, Expression right, int line) ->
          at(
              line,
              () -> Operators.binary(operator, value(left, variables), value(right, variables)));
      case Expression.And(Expression left, Expression right) -> {
        Object first = value(left, variables);
        yield Values.truth(first) ? value(right, variables) : first;
      }
      case Expression.Or(Expression left, Expression right) -> {
        Object first = value(left, variables);
        yield Values.truth(first) ? first : value(right, variables);
      }
      case Expression.Compare compare -> at(compare.line(), () -> compare(compare, variables));
      case Expression.Choice(Expression then, Expression condition, Expression otherwise) -> {
        if (truth(condition, variables)) {
          yield value(then, variables);
        }
        yield otherwise == null ? new Undefined("else") : value(otherwise, variables);
      }
    };
  }

  static boolean truth(Expression expression, Variables variables) {
    return Values.truth(value(expression, variables));
  }

  /** Does something, and has errors say the line. */
  static <T extends @Nullable Object> T at(int line, Supplier<T> work) {
    try {
      return work.get();
    } catch (TemplateException e) {
      throw e.at(line);
    }
  }

  private static @Nullable Object optional(@Nullable Expression expression, Variables variables) {
    return expression == null ? null : value(expression, variables);
  }

  private static List<@Nullable Object> values(List<Expression> items, Variables variables) {
    List<@Nullable Object> values = new ArrayList<>(items.size());
    for (Expression item : items) {
      values.add(value(item, variables));
    }
    return values;
  }

  private static Map<String, @Nullable Object> dict(Expression.DictOf dict, Variables variables) {
    Map<String, @Nullable Object> values = new LinkedHashMap<>();
    for (int i = 0; i < dict.keys().size(); i++) {
      String key = Values.requireText(value(dict.keys().get(i), variables));
      values.put(key, value(dict.values().get(i), variables));
    }
    return values;
  }

  static @Nullable Object call(Expression callee, ArgumentList arguments, Variables variables) {
    return callable(callee, variables).call(arguments(arguments, variables));
  }

  static Callable callable(Expression callee, Variables variables) {
    Object function = value(callee, variables);
    if (function instanceof Callable callable) {
      return callable;
    }
    throw function instanceof Undefined undefined
        ? undefined.error()
        : new TemplateException("%s can't be called".formatted(Values.shown(function)));
  }

  static Arguments arguments(ArgumentList list, Variables variables) {
    Map<String, @Nullable Object> named = new LinkedHashMap<>();
    for (int i = 0; i < list.names().size(); i++) {
      named.put(list.names().get(i), value(list.named().get(i), variables));
    }
    return new Arguments(values(list.positional(), variables), named);
  }

  private static boolean compare(Expression.Compare compare, Variables variables) {
    Object left = value(compare.first(), variables);
    for (int i = 0; i < compare.operators().size(); i++) {
      Object right = value(compare.others().get(i), variables);
      if (!Operators.compare(compare.operators().get(i), left, right)) {
        return false;
      }
      left = right;
    }
    return true;
  }
}
