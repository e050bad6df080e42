package org.ftcluster.worker.jinja;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A template that was read, to be filled any number of times. Immutable; any thread may use it. */
public final class Template {
  private final List<Node> nodes;
  private final boolean marksGenerated;

  private Template(Parser.Parsed parsed) {
    this.nodes = parsed.nodes();
    this.marksGenerated = parsed.marksGenerated();
  }

  /**
   * Some of a text.
   *
   * @param from its first {@code char}
   * @param to the one after its last
   */
  public record Span(int from, int to) {}

  /**
   * What a template gives.
   *
   * @param generated what stood within {@code generation}, in its order
   */
  public record Rendered(String text, List<Span> generated) {}

  /**
   * Reads a template.
   *
   * @throws TemplateException for the first tag that is wrong or unknown
   */
  public static Template parse(String template) {
    try {
      return new Template(Parser.parse(template));
    } catch (StackOverflowError e) {
      throw new TemplateException("brackets or tags are nested too deep");
    }
  }

  /** Whether {@code generation} stands somewhere in it. */
  public boolean marksGenerated() {
    return marksGenerated;
  }

  /**
   * Fills the template.
   *
   * @param values by name: null, {@link Boolean}, {@link Long}, {@link java.math.BigInteger},
   *     {@link Double}, {@link String}, and {@link List}s and {@link Map}s of these, by strings
   * @throws TemplateException when the template raises an exception, or does what can't be done
   */
  public Rendered render(Map<String, ? extends @Nullable Object> values) {
    Variables variables = new Variables(null);
    variables.set("namespace", (Callable) Namespace::of);
    variables.set("range", (Callable) Operators::range);
    variables.set("dict", (Callable) Namespace::dict);
    variables.set("raise_exception", (Callable) Template::raise);
    values.forEach(variables::set);
    try {
      return Renderer.render(nodes, new Variables(variables));
    } catch (StackOverflowError e) {
      throw new TemplateException("macros call each other without an end");
    }
  }

  private static Object raise(Arguments given) {
    throw new TemplateException(given.text(0, "message"));
  }
}
