package org.ftcluster.worker.data;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.ftcluster.protocol.job.BadJobException;

/** JSON files beside a model, and one sentence when they can't be used. */
final class JsonFiles {
  private static final JsonMapper JSON = new JsonMapper();

  private JsonFiles() {}

  /** Takes what it wants from a file. */
  @FunctionalInterface
  interface Parse<T> {
    T from(JsonParser parser) throws IOException;
  }

  static <T> T parse(Path file, Parse<T> parse) {
    try (InputStream bytes = Files.newInputStream(file);
        JsonParser parser = JSON.createParser(bytes)) {
      return parse.from(parser);
    } catch (NoSuchFileException e) {
      throw new BadJobException("%s: there is no such file.".formatted(file), e);
    } catch (JsonProcessingException e) {
      throw new BadJobException(
          "%s:%d: this is not valid JSON.".formatted(file, e.getLocation().getLineNr()), e);
    } catch (IOException e) {
      throw new BadJobException("%s: this can't be read: %s.".formatted(file, e.getMessage()), e);
    }
  }

  /** The whole file; a missing node where there is none. */
  static JsonNode readIfThere(Path file) {
    return Files.exists(file)
        ? parse(file, parser -> parser.readValueAsTree())
        : MissingNode.getInstance();
  }
}
