package org.ftcluster.worker.jinja;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.ftcluster.worker.jinja.Expression.ArgumentList;
import org.ftcluster.worker.jinja.Token.Kind;
import org.jspecify.annotations.Nullable;

/** Expressions, by Jinja's order of operators: the loosest first. */
final class ExpressionParser {
  private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");

  private final Tokens tokens;

  ExpressionParser(Tokens tokens) {
    this.tokens = tokens;
  }

  /** One value, or a tuple without brackets. */
  Expression tuple() {
    return tuple(true);
  }

  /**
   * The same.
   *
   * @param choices whether {@code if} belongs to it
   */
  Expression tuple(boolean choices) {
    Expression first = choices ? expression() : or();
    if (!tokens.peek().isOperator(",")) {
      return first;
    }
    List<Expression> items = new ArrayList<>(List.of(first));
    while (tokens.takeOperator(",") && beginsValue()) {
      items.add(choices ? expression() : or());
    }
    return new Expression.TupleOf(items);
  }

  private boolean beginsValue() {
    Token next = tokens.peek();
    return switch (next.kind()) {
      case BLOCK_END, PRINT_END, END -> false;
      case OPERATOR -> !next.text().equals(")") && !next.text().equals("=");
      default -> !next.isName("in");
    };
  }

  Expression expression() {
    Expression value = or();
    while (tokens.takeName("if")) {
      Expression condition = or();
      Expression otherwise = tokens.takeName("else") ? expression() : null;
      value = new Expression.Choice(value, condition, otherwise);
    }
    return value;
  }

  private Expression or() {
    Expression left = and();
    while (tokens.takeName("or")) {
      left = new Expression.Or(left, and());
    }
    return left;
  }

  private Expression and() {
    Expression left = not();
    while (tokens.takeName("and")) {
      left = new Expression.And(left, not());
    }
    return left;
  }

  private Expression not() {
    return tokens.takeName("not") ? new Expression.Not(not()) : compare();
  }

  private Expression compare() {
    int line = tokens.line();
    Expression first = sum();
    List<String> operators = new ArrayList<>();
    List<Expression> others = new ArrayList<>();
    for (String operator = comparison(); operator != null; operator = comparison()) {
      operators.add(operator);
      others.add(sum());
    }
    return operators.isEmpty() ? first : new Expression.Compare(first, operators, others, line);
  }

  private @Nullable String comparison() {
    Token next = tokens.peek();
    if (next.is(Kind.OPERATOR) && COMPARISONS.contains(next.text())) {
      return tokens.next().text();
    }
    if (tokens.takeName("in")) {
      return "in";
    }
    if (next.isName("not") && tokens.peekBehind().isName("in")) {
      tokens.next();
      tokens.next();
      return "not in";
    }
    return null;
  }

  private Expression sum() {
    Expression left = concatenation();
    while (tokens.peek().isOperator("+") || tokens.peek().isOperator("-")) {
      Token operator = tokens.next();
      left = new Expression.Binary(operator.text(), left, concatenation(), operator.line());
    }
    return left;
  }

  private Expression concatenation() {
    Expression left = product();
    while (tokens.peek().isOperator("~")) {
      Token operator = tokens.next();
      left = new Expression.Binary(operator.text(), left, product(), operator.line());
    }
    return left;
  }

  private Expression product() {
    Expression left = power();
    while (tokens.peek().isOperator("*")
        || tokens.peek().isOperator("/")
        || tokens.peek().isOperator("//")
        || tokens.peek().isOperator("%")) {
      Token operator = tokens.next();
      left = new Expression.Binary(operator.text(), left, power(), operator.line());
    }
    return left;
  }

  private Expression power() {
    Expression left = unary(true);
    while (tokens.peek().isOperator("**")) {
      Token operator = tokens.next();
      left = new Expression.Binary(operator.text(), left, unary(true), operator.line());
    }
    return left;
  }

  private Expression unary(boolean filters) {
    Expression value;
    if (tokens.takeOperator("-")) {
      value = new Expression.Signed(-1, unary(false));
    } else if (tokens.takeOperator("+")) {
      value = new Expression.Signed(1, unary(false));
    } else {
      value = primary();
    }
    value = postfix(value);
    return filters ? filtered(value) : value;
  }

  private Expression primary() {
    Token token = tokens.next();
    return switch (token.kind()) {
      case NAME -> named(token.text());
      case STRING -> {
        StringBuilder text = new StringBuilder(token.text());
        while (tokens.peek().is(Kind.STRING)) {
          text.append(tokens.next().text());
        }
        yield new Expression.Constant(text.toString());
      }
      case INTEGER -> new Expression.Constant(Values.whole(new BigInteger(token.text())));
      case FLOAT -> new Expression.Constant(Double.valueOf(token.text()));
      case OPERATOR ->
          switch (token.text()) {
            case "(" -> {
              Expression inside =
                  tokens.peek().isOperator(")") ? new Expression.TupleOf(List.of()) : tuple();
              tokens.expectOperator(")");
              yield inside;
            }
            case "[" -> new Expression.ListOf(items());
            case "{" -> dict();
            default -> throw noValue(token);
          };
      default -> throw noValue(token);
    };
  }

  private static TemplateException noValue(Token token) {
    return new TemplateException("%s where a value belongs".formatted(token.shown()))
        .at(token.line());
  }

  private static Expression named(String name) {
    return switch (name) {
      case "true", "True" -> new Expression.Constant(true);
      case "false", "False" -> new Expression.Constant(false);
      case "none", "None" -> new Expression.Constant(null);
      default -> new Expression.Name(name);
    };
  }

  private List<Expression> items() {
    List<Expression> items = new ArrayList<>();
    while (!tokens.takeOperator("]")) {
      if (!items.isEmpty()) {
        tokens.expectOperator(",");
        if (tokens.takeOperator("]")) {
          break;
        }
      }
      items.add(expression());
    }
    return items;
  }

  private Expression dict() {
    List<Expression> keys = new ArrayList<>();
    List<Expression> values = new ArrayList<>();
    while (!tokens.takeOperator("}")) {
      if (!keys.isEmpty()) {
        tokens.expectOperator(",");
        if (tokens.takeOperator("}")) {
          break;
        }
      }
      keys.add(expression());
      tokens.expectOperator(":");
      values.add(expression());
    }
    return new Expression.DictOf(keys, values);
  }

  private Expression postfix(Expression value) {
    Expression result = value;
    while (true) {
      int line = tokens.line();
      if (tokens.takeOperator(".")) {
        result =
            tokens.peek().is(Kind.INTEGER)
                ? new Expression.Item(result, primary())
                : new Expression.Attribute(result, tokens.expect(Kind.NAME, "a name").text());
      } else if (tokens.takeOperator("[")) {
        result = subscript(result);
      } else if (tokens.peek().isOperator("(")) {
        result = new Expression.Call(result, arguments(), line);
      } else {
        return result;
      }
    }
  }

  private Expression subscript(Expression of) {
    Expression from = null;
    if (!tokens.peek().isOperator(":")) {
      from = expression();
      if (tokens.takeOperator("]")) {
        return new Expression.Item(of, from);
      }
    }
    tokens.expectOperator(":");
    Expression to = bound();
    Expression step = tokens.takeOperator(":") ? bound() : null;
    tokens.expectOperator("]");
    return new Expression.Slice(of, from, to, step);
  }

  private @Nullable Expression bound() {
    return tokens.peek().isOperator(":") || tokens.peek().isOperator("]") ? null : expression();
  }

  private Expression filtered(Expression value) {
    Expression result = value;
    while (true) {
      int line = tokens.line();
      if (tokens.peek().isOperator("|")) {
        result = filters(result);
      } else if (tokens.takeName("is")) {
        result = tested(result, line);
      } else if (tokens.peek().isOperator("(")) {
        result = new Expression.Call(result, arguments(), line);
      } else {
        return result;
      }
    }
  }

  /** Filters that follow a value; they may have arguments. */
  Expression filters(Expression value) {
    Expression result = value;
    while (tokens.peek().isOperator("|")) {
      int line = tokens.next().line();
      String name = tokens.expect(Kind.NAME, "a filter's name").text();
      Filters.require(name, line);
      ArgumentList arguments = tokens.peek().isOperator("(") ? arguments() : ArgumentList.NONE;
      result = new Expression.Filtered(result, name, arguments, line);
    }
    return result;
  }

  private Expression tested(Expression value, int line) {
    boolean negated = tokens.takeName("not");
    String name = tokens.expect(Kind.NAME, "a test's name").text();
    Tests.require(name, line);
    ArgumentList arguments = ArgumentList.NONE;
    if (tokens.peek().isOperator("(")) {
      arguments = arguments();
    } else if (beginsTestsArgument()) {
      arguments = new ArgumentList(List.of(postfix(primary())), List.of(), List.of());
    }
    Expression test = new Expression.Tested(value, name, arguments, line);
    return negated ? new Expression.Not(test) : test;
  }

  private boolean beginsTestsArgument() {
    Token next = tokens.peek();
    return switch (next.kind()) {
      case NAME ->
          !Set.of("else", "or", "and", "is", "if", "in", "not", "recursive").contains(next.text());
      case STRING, INTEGER, FLOAT -> true;
      case OPERATOR -> next.text().equals("[") || next.text().equals("{");
      default -> false;
    };
  }

  ArgumentList arguments() {
    tokens.expectOperator("(");
    List<Expression> positional = new ArrayList<>();
    List<String> names = new ArrayList<>();
    List<Expression> named = new ArrayList<>();
    boolean first = true;
    while (!tokens.takeOperator(")")) {
      if (!first) {
        tokens.expectOperator(",");
        if (tokens.takeOperator(")")) {
          break;
        }
      }
      first = false;
      if (tokens.peek().is(Kind.NAME) && tokens.peekBehind().isOperator("=")) {
        names.add(tokens.next().text());
        tokens.next();
        named.add(expression());
      } else if (names.isEmpty()) {
        positional.add(expression());
      } else {
        throw tokens.unexpected("an argument with a name");
      }
    }
    return new ArgumentList(positional, names, named);
  }
}
