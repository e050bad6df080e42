package org.ftcluster.worker.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.ftcluster.worker.jinja.Token.Kind;

/** Tokens to nodes. */
final class Parser {
  private final Tokens tokens;
  private final ExpressionParser expressions;

  /** How many loops are around what is read. */
  private int loops;

  private boolean marksGenerated;
  private boolean inGeneration;

  private Parser(Tokens tokens) {
    this.tokens = tokens;
    this.expressions = new ExpressionParser(tokens);
  }

  /**
   * A template.
   *
   * @param marksGenerated whether {@code generation} stands in it
   */
  record Parsed(List<Node> nodes, boolean marksGenerated) {}

  static Parsed parse(String template) {
    Parser parser = new Parser(new Tokens(Lexer.tokens(template)));
    List<Node> nodes = parser.body(Set.of());
    if (!parser.tokens.peek().is(Kind.END)) {
      throw parser.tokens.unexpected("text or a tag");
    }
    return new Parsed(nodes, parser.marksGenerated);
  }

  /** What stands up to a tag that begins with one of {@code ends}, whose name is next then. */
  private List<Node> body(Set<String> ends) {
    List<Node> nodes = new ArrayList<>();
    while (true) {
      Token token = tokens.peek();
      switch (token.kind()) {
        case DATA -> nodes.add(new Node.Text(tokens.next().text()));
        case PRINT_BEGIN -> {
          tokens.next();
          nodes.add(new Node.Print(expressions.tuple(), token.line()));
          tokens.expect(Kind.PRINT_END, "'}}'");
        }
        case BLOCK_BEGIN -> {
          tokens.next();
          Token name = tokens.peek();
          if (ends.contains(name.text())) {
            return nodes;
          }
          nodes.add(statement(tokens.expect(Kind.NAME, "a tag's name"), token.line()));
        }
        default -> {
          if (!ends.isEmpty()) {
            throw tokens.unexpected(String.join(" or ", ends.stream().sorted().toList()));
          }
          return nodes;
        }
      }
    }
  }

  /** What stands between a tag's end and the tag {@code end}. */
  private List<Node> block(String end) {
    tagEnds();
    List<Node> nodes = body(Set.of(end));
    tokens.expectName(end);
    tagEnds();
    return nodes;
  }

  private void tagEnds() {
    tokens.expect(Kind.BLOCK_END, "'%}'");
  }

  private Node statement(Token tag, int line) {
    return switch (tag.text()) {
      case "if" -> choice(line);
      case "for" -> loop(line);
      case "set" -> set(line);
      case "macro" -> macro(line);
      case "call" -> callBlock(line);
      case "generation" -> generation(line);
      case "break" -> leave(new Node.Break(), tag);
      case "continue" -> leave(new Node.Continue(), tag);
      default -> throw new TemplateException("there is no tag '%s'".formatted(tag.text())).at(line);
    };
  }

  private Node generation(int line) {
    if (inGeneration) {
      throw new TemplateException("generation stands in another").at(line);
    }
    marksGenerated = true;
    inGeneration = true;
    Node node = new Node.Generation(ownLoops("endgeneration"), line);
    inGeneration = false;
    return node;
  }

  private Node leave(Node node, Token tag) {
    if (loops == 0) {
      throw new TemplateException("%s is in no loop".formatted(tag.text())).at(tag.line());
    }
    tagEnds();
    return node;
  }

  private Node choice(int line) {
    List<Node.Branch> branches = new ArrayList<>();
    List<Node> otherwise = List.of();
    int branchLine = line;
    while (true) {
      Expression condition = expressions.tuple();
      tagEnds();
      List<Node> body = body(Set.of("elif", "else", "endif"));
      branches.add(new Node.Branch(condition, body, branchLine));
      branchLine = tokens.line();
      if (tokens.takeName("elif")) {
        continue;
      }
      if (tokens.takeName("else")) {
        tagEnds();
        otherwise = body(Set.of("endif"));
      }
      tokens.expectName("endif");
      tagEnds();
      return new Node.If(branches, otherwise);
    }
  }

  private Node loop(int line) {
    List<String> targets = names();
    tokens.expectName("in");
    Expression items = expressions.tuple(false);
    Expression condition = tokens.takeName("if") ? expressions.expression() : null;
    if (tokens.peek().isName("recursive")) {
      throw new TemplateException("loops that call themselves aren't supported").at(line);
    }
    tagEnds();
    loops++;
    List<Node> body = body(Set.of("else", "endfor"));
    loops--;
    List<Node> otherwise = List.of();
    if (tokens.takeName("else")) {
      tagEnds();
      otherwise = body(Set.of("endfor"));
    }
    tokens.expectName("endfor");
    tagEnds();
    return new Node.For(targets, items, condition, body, otherwise, line);
  }

  private List<String> names() {
    boolean bracket = tokens.takeOperator("(");
    List<String> names = new ArrayList<>();
    do {
      names.add(tokens.expect(Kind.NAME, "a name").text());
    } while (tokens.takeOperator(","));
    if (bracket) {
      tokens.expectOperator(")");
    }
    return names;
  }

  private Node set(int line) {
    if (tokens.peekBehind().isOperator(".")) {
      String namespace = tokens.expect(Kind.NAME, "a name").text();
      tokens.expectOperator(".");
      String name = tokens.expect(Kind.NAME, "a name").text();
      tokens.expectOperator("=");
      Expression value = expressions.tuple();
      tagEnds();
      return new Node.SetAttribute(namespace, name, value, line);
    }
    List<String> targets = names();
    if (tokens.takeOperator("=")) {
      Expression value = expressions.tuple();
      tagEnds();
      return new Node.Set(targets, value, line);
    }
    if (targets.size() > 1) {
      throw tokens.unexpected("'='");
    }
    Expression filtered = expressions.filters(new Expression.Name(Node.SetBlock.BODY));
    return new Node.SetBlock(targets.getFirst(), filtered, ownLoops("endset"), line);
  }

  private Node macro(int line) {
    String name = tokens.expect(Kind.NAME, "a macro's name").text();
    List<Expression> defaults = new ArrayList<>();
    List<String> parameters = parameters(defaults);
    return new Node.Macro(name, parameters, defaults, ownLoops("endmacro"), line);
  }

  /** What can't leave a loop around it. */
  private List<Node> ownLoops(String end) {
    int outside = loops;
    loops = 0;
    List<Node> body = block(end);
    loops = outside;
    return body;
  }

  /**
   * Names in brackets.
   *
   * @param defaults gets the values of the last of them
   */
  private List<String> parameters(List<Expression> defaults) {
    List<String> parameters = new ArrayList<>();
    tokens.expectOperator("(");
    while (!tokens.takeOperator(")")) {
      if (!parameters.isEmpty()) {
        tokens.expectOperator(",");
      }
      parameters.add(tokens.expect(Kind.NAME, "a parameter's name").text());
      if (tokens.takeOperator("=")) {
        defaults.add(expressions.expression());
      } else if (!defaults.isEmpty()) {
        throw tokens.unexpected("a default");
      }
    }
    return parameters;
  }

  private Node callBlock(int line) {
    List<String> parameters = List.of();
    if (tokens.peek().isOperator("(")) {
      List<Expression> defaults = new ArrayList<>();
      parameters = parameters(defaults);
      if (!defaults.isEmpty()) {
        throw new TemplateException("parameters of call have no defaults here").at(line);
      }
    }
    Expression callee = expressions.expression();
    if (!(callee instanceof Expression.Call call)) {
      throw new TemplateException("call needs a call of a macro").at(line);
    }
    return new Node.CallBlock(
        parameters, call.callee(), call.arguments(), ownLoops("endcall"), line);
  }
}
