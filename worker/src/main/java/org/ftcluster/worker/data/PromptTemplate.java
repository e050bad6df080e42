package org.ftcluster.worker.data;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.ftcluster.protocol.job.BadJobException;

/**
 * A text with {@code {field}} places that are filled from a line's JSON object. {@code {{field}}}
 * stands for {@code {field}} itself; all other braces are only braces.
 */
public final class PromptTemplate {
  private static final Pattern PLACE =
      Pattern.compile("\\{\\{([A-Za-z_][\\w-]*)}}|\\{([A-Za-z_][\\w-]*)}");

  private sealed interface Part {
    record Text(String text) implements Part {}

    record Field(String name) implements Part {}
  }

  private final List<Part> parts;

  private PromptTemplate(List<Part> parts) {
    this.parts = List.copyOf(parts);
  }

  public static PromptTemplate of(String template) {
    List<Part> parts = new ArrayList<>();
    Matcher matcher = PLACE.matcher(template);
    int end = 0;
    while (matcher.find()) {
      parts.add(new Part.Text(template.substring(end, matcher.start())));
      String literal = matcher.group(1);
      parts.add(
          literal != null ? new Part.Text("{" + literal + "}") : new Part.Field(matcher.group(2)));
      end = matcher.end();
    }
    parts.add(new Part.Text(template.substring(end)));
    return new PromptTemplate(parts);
  }

  /**
   * The text for one line.
   *
   * @throws BadJobException when the line lacks a field
   */
  public String fill(JsonlReader.Line line, JsonNode fields) {
    StringBuilder text = new StringBuilder();
    for (Part part : parts) {
      text.append(
          switch (part) {
            case Part.Text(String literal) -> literal;
            case Part.Field(String name) -> value(line, fields, name);
          });
    }
    return text.toString();
  }

  private static String value(JsonlReader.Line line, JsonNode fields, String name) {
    if (holdsMessages(fields.path(name))) {
      throw new BadJobException(
          "%s: field %s holds the messages of a conversation, but a template makes text of it; name the field as messages, or of pairs as chosen_messages and rejected_messages."
              .formatted(line.where(), name));
    }
    return Optional.ofNullable(fields.get(name))
        .filter(field -> !field.isNull())
        .map(field -> field.isValueNode() ? field.asText() : field.toString())
        .orElseThrow(() -> missing(line, fields, name));
  }

  private static boolean holdsMessages(JsonNode field) {
    JsonNode first = field.path(0);
    return first.has("role") || (first.has("from") && first.has("value"));
  }

  private static BadJobException missing(JsonlReader.Line line, JsonNode fields, String name) {
    List<String> present = new ArrayList<>();
    fields.fieldNames().forEachRemaining(present::add);
    return new BadJobException(
        "%s: this line has no field %s that the template asks for; it has %s."
            .formatted(line.where(), name, present.isEmpty() ? "none" : present));
  }
}
