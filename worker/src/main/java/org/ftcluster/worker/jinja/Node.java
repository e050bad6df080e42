package org.ftcluster.worker.jinja;

import java.util.List;
import org.ftcluster.worker.jinja.Expression.ArgumentList;
import org.jspecify.annotations.Nullable;

/** What leaves text, or changes what comes after it. */
sealed interface Node {
  record Text(String text) implements Node {}

  record Print(Expression value, int line) implements Node {}

  /** The first branch that applies. */
  record If(List<Branch> branches, List<Node> otherwise) implements Node {}

  record Branch(Expression condition, List<Node> body, int line) {}

  /**
   * A loop.
   *
   * @param targets more than one take an item apart
   * @param condition of an item that counts
   * @param otherwise where there is no item
   */
  record For(
      List<String> targets,
      Expression items,
      @Nullable Expression condition,
      List<Node> body,
      List<Node> otherwise,
      int line)
      implements Node {}

  /** Sets names, which take a value apart where there is more than one. */
  record Set(List<String> targets, Expression value, int line) implements Node {}

  /** Sets a name of a namespace. */
  record SetAttribute(String namespace, String name, Expression value, int line) implements Node {}

  /**
   * Sets a name to what its body leaves.
   *
   * @param filtered what is set, in which {@link #BODY} is that text
   */
  record SetBlock(String target, Expression filtered, List<Node> body, int line) implements Node {
    static final String BODY = " body";
  }

  /** A function that gives text. */
  record Macro(
      String name, List<String> parameters, List<Expression> defaults, List<Node> body, int line)
      implements Node {}

  /** A call of a macro that may call the body back, as {@code caller}. */
  record CallBlock(
      List<String> parameters, Expression callee, ArgumentList arguments, List<Node> body, int line)
      implements Node {}

  /** What the model is to learn. */
  record Generation(List<Node> body, int line) implements Node {}

  record Break() implements Node {}

  record Continue() implements Node {}
}
