package org.ftcluster.worker.jinja;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
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
        Flow flow = run(body, new Variables(variables), out);
        generated.add(new Template.Span(from, out.length()));
        return flow;
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
    List<@Nullable Object> items = Values.items(Evaluator.value(loop.items(), variables));
    Expression condition = loop.condition();
    if (condition != null) {
      items.removeIf(
          item -> {
            Variables round = new Variables(variables);
            assign(loop.targets(), item, round);
            return !Evaluator.truth(condition, round);
          });
    }
    if (items.isEmpty()) {
      return run(loop.otherwise(), variables, out);
    }
    for (int i = 0; i < items.size(); i++) {
      Variables round = new Variables(variables);
      round.set("loop", round(items, i));
      assign(loop.targets(), items.get(i), round);
      if (run(loop.body(), round, out) == Flow.BREAK) {
        break;
      }
    }
    return Flow.GO_ON;
  }

  private static Map<String, @Nullable Object> round(List<@Nullable Object> items, int index) {
    int size = items.size();
    Map<String, @Nullable Object> loop = new HashMap<>();
    loop.put("index", index + 1L);
    loop.put("index0", (long) index);
    loop.put("revindex", (long) size - index);
    loop.put("revindex0", size - index - 1L);
    loop.put("first", index == 0);
    loop.put("last", index == size - 1);
    loop.put("length", (long) size);
    loop.put("depth", 1L); // of loops that call themselves
    loop.put("depth0", 0L);
    loop.put("previtem", index == 0 ? new Undefined("previtem") : items.get(index - 1));
    loop.put("nextitem", index == size - 1 ? new Undefined("nextitem") : items.get(index + 1));
    loop.put(
        "cycle",
        (Callable) given -> given.positional().get(index % Math.max(1, given.positional().size())));
    return loop;
  }

  private Callable macro(Node.Macro macro, Variables around) {
    return given -> {
      Variables inside = new Variables(around);
      int plain = macro.parameters().size() - macro.defaults().size();
      String[] names = macro.parameters().toArray(String[]::new);
      Object caller = given.named().get("caller");
      Arguments arguments = given;
      if (caller != null) {
        inside.set("caller", caller);
        Map<String, @Nullable Object> named = new HashMap<>(given.named());
        named.remove("caller");
        arguments = new Arguments(given.positional(), named);
      }
      arguments.atMost(names.length, names);
      for (int i = 0; i < names.length; i++) {
        if (arguments.has(i, names[i])) {
          inside.set(names[i], arguments.get(i, names[i], null));
        } else if (i < plain) {
          inside.set(names[i], new Undefined(names[i]));
        } else {
          inside.set(names[i], Evaluator.value(macro.defaults().get(i - plain), inside));
        }
      }
      return text(macro.body(), inside);
    };
  }

  private String call(Node.CallBlock call, Variables variables) {
    Callable caller =
        given -> {
          Variables inside = new Variables(variables);
          String[] names = call.parameters().toArray(String[]::new);
          given.atMost(names.length, names);
          for (int i = 0; i < names.length; i++) {
            inside.set(names[i], given.get(i, names[i], new Undefined(names[i])));
          }
          return text(call.body(), inside);
        };
    Arguments arguments = Evaluator.arguments(call.arguments(), variables);
    Map<String, @Nullable Object> named = new HashMap<>(arguments.named());
    named.put("caller", caller);
    return Values.text(
        Evaluator.callable(call.callee(), variables)
            .call(new Arguments(arguments.positional(), named)));
  }
}
