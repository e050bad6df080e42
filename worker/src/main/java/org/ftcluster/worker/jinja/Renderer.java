package org.ftcluster.worker.jinja;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Runs a template's nodes once. */
final class Renderer {
  private enum Flow {
    GO_ON,
    BREAK,
    CONTINUE
  }

  private final StringBuilder whole = new StringBuilder();
  private final List<Template.Span> generated = new ArrayList<>();

  static Template.Rendered render(List<Node> nodes, Variables variables) {
    Renderer renderer = new Renderer();
    renderer.run(nodes, variables, renderer.whole);
    return new Template.Rendered(renderer.whole.toString(), List.copyOf(renderer.generated));
  }

  private Flow run(List<Node> nodes, Variables variables, StringBuilder out) {
    for (Node node : nodes) {
      Flow flow = run(node, variables, out);
      if (flow != Flow.GO_ON) {
        return flow;
      }
    }
    return Flow.GO_ON;
  }

  private Flow run(Node node, Variables variables, StringBuilder out) {
    switch (node) {
      case Node.Text(String text) -> out.append(text);
      case Node.Print(Expression value, int line) ->
          out.append(Evaluator.at(line, () -> Values.text(Evaluator.value(value, variables))));
      case Node.If choice -> {
        return choose(choice, variables, out);
      }
      case Node.For loop -> {
        return Evaluator.at(loop.line(), () -> loop(loop, variables, out));
      }
      case Node.Set(List<String> targets, Expression value, int line) ->
          Evaluator.at(line, () -> assign(targets, Evaluator.value(value, variables), variables));
      case Node.SetAttribute set -> Evaluator.at(set.line(), () -> setAttribute(set, variables));
      case Node.SetBlock(String target, Expression filtered, List<Node> body, int line) -> {
        Variables inside = new Variables(variables);
        inside.set(Node.SetBlock.BODY, text(body, new Variables(variables)));
        variables.set(target, Evaluator.at(line, () -> Evaluator.value(filtered, inside)));
      }
      case Node.Macro macro -> variables.set(macro.name(), macro(macro, variables));
      case Node.CallBlock call ->
          out.append(Evaluator.at(call.line(), () -> call(call, variables)));
      case Node.Generation(List<Node> body, int line) -> {
        if (out != whole) {
          throw new TemplateException("generation stands in a macro or set").at(line);
        }
        int from = out.length();
        run(body, new Variables(variables), out);
        generated.add(new Template.Span(from, out.length()));
      }
      case Node.Break _ -> {
        return Flow.BREAK;
      }
      case Node.Continue _ -> {
        return Flow.CONTINUE;
      }
    }
    return Flow.GO_ON;
  }

  private String text(List<Node> body, Variables variables) {
    StringBuilder text = new StringBuilder();
    run(body, variables, text);
    return text.toString();
  }

  private Flow choose(Node.If choice, Variables variables, StringBuilder out) {
    for (Node.Branch branch : choice.branches()) {
      boolean applies =
          Evaluator.at(branch.line(), () -> Evaluator.truth(branch.condition(), variables));
      if (applies) {
        return run(branch.body(), variables, out);
      }
    }
    return run(choice.otherwise(), variables, out);
  }

  private static @Nullable Void assign(
      List<String> targets, @Nullable Object value, Variables variables) {
    if (targets.size() == 1) {
      variables.set(targets.getFirst(), value);
      return null;
    }
    List<@Nullable Object> items = Values.items(value);
    if (items.size() != targets.size()) {
      throw new TemplateException("%d values for %d names".formatted(items.size(), targets.size()));
    }
    for (int i = 0; i < targets.size(); i++) {
      variables.set(targets.get(i), items.get(i));
    }
    return null;
  }

  private static @Nullable Void setAttribute(Node.SetAttribute set, Variables variables) {
    if (!(variables.get(set.namespace()) instanceof Namespace namespace)) {
      throw new TemplateException("%s is no namespace".formatted(set.namespace()));
    }
    namespace.values().put(set.name(), Evaluator.value(set.value(), variables));
    return null;
  }

  private Flow loop(Node.For loop, Variables variables, StringBuilder out) {
    Stream<@Nullable Object> items =
        Values.items(Evaluator.value(loop.items(), variables)).stream();
    Expression condition = loop.condition();
    if (condition != null) {
      items =
          items.filter(
              item -> {
                Variables round = new Variables(variables);
                assign(loop.targets(), item, round);
                return Evaluator.truth(condition, round);
              });
    }
    Loop rounds = new Loop(items.iterator());
    boolean any = false;
    while (rounds.advance()) {
      any = true;
      Variables round = new Variables(variables);
      round.set("loop", rounds);
      assign(loop.targets(), rounds.item(), round);
      if (run(loop.body(), round, out) == Flow.BREAK) {
        break;
      }
    }
    return any ? Flow.GO_ON : run(loop.otherwise(), new Variables(variables), out);
  }

  private Callable macro(Node.Macro macro, Variables around) {
    return given -> {
      Variables inside = new Variables(around);
      Arguments arguments = given;
      if (given.named().get("caller") instanceof Callable caller) {
        inside.set("caller", caller);
        Map<String, @Nullable Object> named = new HashMap<>(given.named());
        named.remove("caller");
        arguments = new Arguments(given.positional(), named);
      }
      bind(macro.parameters(), macro.defaults(), arguments, inside);
      return text(macro.body(), inside);
    };
  }

  private String call(Node.CallBlock call, Variables variables) {
    Callable caller =
        given -> {
          Variables inside = new Variables(variables);
          bind(call.parameters(), List.of(), given, inside);
          return text(call.body(), inside);
        };
    Arguments arguments = Evaluator.arguments(call.arguments(), variables);
    Map<String, @Nullable Object> named = new HashMap<>(arguments.named());
    named.put("caller", caller);
    return Values.text(
        Evaluator.callable(call.callee(), variables)
            .call(new Arguments(arguments.positional(), named)));
  }

  /**
   * Sets parameters to what is given for them.
   *
   * @param defaults of the last of them
   */
  private static void bind(
      List<String> parameters, List<Expression> defaults, Arguments given, Variables inside) {
    given.only(parameters.toArray(String[]::new));
    int plain = parameters.size() - defaults.size();
    for (int i = 0; i < parameters.size(); i++) {
      String name = parameters.get(i);
      if (given.has(i, name)) {
        inside.set(name, given.get(i, name, null));
      } else if (i < plain) {
        inside.set(name, new Undefined(name));
      } else {
        inside.set(name, Evaluator.value(defaults.get(i - plain), inside));
      }
    }
  }
}
