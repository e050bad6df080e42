package org.ftcluster.worker.jinja;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.ftcluster.worker.jinja.Template.Rendered;
import org.ftcluster.worker.jinja.Template.Span;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Templates against what Transformers makes of them. */
class TemplateTest {
  private static JsonNode golden() throws IOException {
    return new JsonMapper().readTree(Path.of("src/test/resources/jinja/cases.json").toFile());
  }

  private static Map<String, Object> values(JsonNode golden) {
    Map<String, Object> values = new HashMap<>();
    golden
        .get("values")
        .properties()
        .forEach(v -> values.put(v.getKey(), JsonValues.of(v.getValue())));
    values.put("messages", JsonValues.of(golden.get("messages")));
    values.put("tools", null);
    values.put("documents", null);
    values.put("add_generation_prompt", true);
    return values;
  }

  static Stream<Arguments> cases() throws IOException {
    JsonNode golden = golden();
    Map<String, Object> values = values(golden);
    List<Arguments> cases = new ArrayList<>();
    golden
        .get("cases")
        .forEach(c -> cases.add(Arguments.of(c.get("template").asText(), c, values)));
    return cases.stream();
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cases")
  void givesWhatTransformersGives(String template, JsonNode expected, Map<String, Object> values) {
    if (expected.has("error")) {
      assertThrows(TemplateException.class, () -> Template.parse(template).render(values));
      return;
    }
    Rendered rendered = Template.parse(template).render(values);

    assertEquals(expected.get("text").asText(), rendered.text());
    List<Span> generated = new ArrayList<>();
    for (JsonNode span : expected.path("generated")) {
      String text = rendered.text(); // Python counts code points
      generated.add(
          new Span(
              text.offsetByCodePoints(0, span.get(0).asInt()),
              text.offsetByCodePoints(0, span.get(1).asInt())));
    }
    assertEquals(generated, rendered.generated());
  }

  @ParameterizedTest
  @CsvSource(
      delimiterString = "=>",
      quoteCharacter = '\0',
      textBlock =
          """
          {{ raise_exception('roles must alternate') }} => line 1: roles must alternate
          {{ a.b.c }} => line 1: 'a' is undefined
          {{ 'a' + b }} => line 1: 'a' + 'b', which is undefined, isn't possible
          {{ none + 1 }} => line 1: None + 1 isn't possible
          {{ f(1) }} => line 1: 'f' is undefined
          {{ strftime_now('%Y') }} => line 1: 'strftime_now' is undefined
          {{ 'a'(1) }} => line 1: 'a' can't be called
          {{ 'a'|nothing }} => line 1: there is no filter 'nothing'
          {{ 1 is nothing }} => line 1: there is no test 'nothing'
          {% include 'a' %} => line 1: there is no tag 'include'
          {% if true %}a => line 1: the end where elif or else or endif belongs
          {% endif %} => line 1: there is no tag 'endif'
          {{ 1 2 }} => line 1: '2' where '}}' belongs
          {{ }} => line 1: '}}' where a value belongs
          {{ (1 }} => line 1: '}' closes nothing
          {{ a => line 1: a tag has no end
          {{ a ! b }} => line 1: '!' is not expected here
          {{ range(1000000) }} => line 1: a range of more than 100000 numbers
          {% generation %}{% generation %}{% endgeneration %}{% endgeneration %} => line 1: generation stands in another
          {{ range() }} => line 1: the argument start is missing
          {{ 'a'.format(1) }} => line 1: the method format isn't supported
          {{ 'a' * 1000000 }} => line 1: 1000000 times 1 is too much
          {% macro f() %}{{ f() }}{% endmacro %}{{ f() }} => macros call each other without an end
          {% set x %}{% generation %}{% endgeneration %}{% endset %} => line 1: generation stands in a macro or set
          {{ namespace }} => line 1: a function has no text
          """)
  void saysWhatIsWrongAndWhere(String template, String sentence) {
    TemplateException thrown =
        assertThrows(TemplateException.class, () -> Template.parse(template).render(Map.of()));
    assertEquals(sentence, thrown.getMessage());
  }

  @Test
  void linesAreThoseOfTheTemplate() {
    TemplateException thrown =
        assertThrows(
            TemplateException.class,
            () ->
                Template.parse("{# two\nlines #}\n{% if true %}\n\n  {{ a.b }}\n{% endif %}")
                    .render(Map.of()));
    assertEquals("line 5: 'a' is undefined", thrown.getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"(", "[", "{{ [", "not ", "- "})
  void nestedTooDeepIsASentenceToo(String opening) {
    String template = "{{ " + opening.repeat(200_000);
    assertThrows(TemplateException.class, () -> Template.parse(template));
  }

  @Test
  void whatIsFilledInIsNoTemplate() {
    assertEquals(
        "{{ x }}{% if %}", Template.parse("{{ a }}").render(Map.of("a", "{{ x }}{% if %}")).text());
  }

  @Test
  void fillsTheSameFromManyThreads() {
    Template template =
        Template.parse("{% for i in range(n) %}{% set x = i %}{{ x }},{% endfor %}");
    String expected = template.render(Map.of("n", 50L)).text();

    List<String> texts =
        Stream.generate(() -> Map.of("n", 50L))
            .limit(200)
            .parallel()
            .map(values -> template.render(values).text())
            .distinct()
            .toList();

    assertEquals(List.of(expected), texts);
  }
}
