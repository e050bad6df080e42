package org.ftcluster.worker.jinja;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** What has a value. */
sealed interface Expression {
  /** A string, number, truth, or none. */
  record Constant(@Nullable Object value) implements Expression {}

  record Name(String name) implements Expression {}

  record ListOf(List<Expression> items) implements Expression {}

  record TupleOf(List<Expression> items) implements Expression {}

  record DictOf(List<Expression> keys, List<Expression> values) implements Expression {}

  record Attribute(Expression of, String name) implements Expression {}

  record Item(Expression of, Expression key) implements Expression {}

  record Slice(
      Expression of, @Nullable Expression from, @Nullable Expression to, @Nullable Expression step)
      implements Expression {}

  record Call(Expression callee, ArgumentList arguments, int line) implements Expression {}

  record Filtered(Expression of, String filter, ArgumentList arguments, int line)
      implements Expression {}

  record Tested(Expression of, String test, ArgumentList arguments, int line)
      implements Expression {}

  record Not(Expression of) implements Expression {}

  /**
   * {@code -} or {@code +} of a number.
   *
   * @param sign 1 or -1
   */
  record Signed(int sign, Expression of) implements Expression {}

  /** One operator between two values. */
  record Binary(String operator, Expression left, Expression right, int line)
      implements Expression {}

  record And(Expression left, Expression right) implements Expression {}

  record Or(Expression left, Expression right) implements Expression {}

  /** {@code first op others[0] op others[1]}, each compared with the one before it. */
  record Compare(Expression first, List<String> operators, List<Expression> others, int line)
      implements Expression {}

  /** {@code then if condition else otherwise}. */
  record Choice(Expression then, Expression condition, @Nullable Expression otherwise)
      implements Expression {}

  /** What stands between a call's brackets. */
  record ArgumentList(List<Expression> positional, List<String> names, List<Expression> named) {
    static final ArgumentList NONE = new ArgumentList(List.of(), List.of(), List.of());
  }
}
