package org.ftcluster.worker.jinja;

import java.util.List;
import org.ftcluster.worker.jinja.Token.Kind;

/** Goes through a template's tokens. */
final class Tokens {
  private final List<Token> tokens;
  private int position;

  Tokens(List<Token> tokens) {
    this.tokens = tokens;
  }

  Token peek() {
    return tokens.get(position);
  }

  Token peekBehind() {
    return tokens.get(Math.min(position + 1, tokens.size() - 1));
  }

  Token next() {
    Token token = peek();
    if (!token.is(Kind.END)) {
      position++;
    }
    return token;
  }

  int line() {
    return peek().line();
  }

  boolean takeName(String name) {
    return take(peek().isName(name));
  }

  boolean takeOperator(String operator) {
    return take(peek().isOperator(operator));
  }

  private boolean take(boolean there) {
    if (there) {
      position++;
    }
    return there;
  }

  Token expect(Kind kind, String meaning) {
    if (!peek().is(kind)) {
      throw unexpected(meaning);
    }
    return next();
  }

  void expectOperator(String operator) {
    if (!takeOperator(operator)) {
      throw unexpected("'%s'".formatted(operator));
    }
  }

  void expectName(String name) {
    if (!takeName(name)) {
      throw unexpected("'%s'".formatted(name));
    }
  }

  TemplateException unexpected(String expected) {
    return new TemplateException("%s where %s belongs".formatted(peek().shown(), expected))
        .at(line());
  }
}
