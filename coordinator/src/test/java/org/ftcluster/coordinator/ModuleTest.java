package org.ftcluster.coordinator;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption.DoNotIncludeTests;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

@AnalyzeClasses(packages = "org.ftcluster.coordinator", importOptions = DoNotIncludeTests.class)
class ModuleTest {
  @ArchTest
  static final ArchRule COORDINATORS_KNOW_ONLY_THE_PROTOCOL =
      classes()
          .should()
          .onlyDependOnClassesThat()
          .resideOutsideOfPackages("org.ftcluster.worker..", "org.ftcluster.cli..");

  @ArchTest
  static final ArchRule A_JOB_KNOWS_NEITHER_ITS_CLIENTS_NOR_ITS_JOURNAL =
      classes()
          .that()
          .resideInAPackage("org.ftcluster.coordinator.job..")
          .should()
          .onlyDependOnClassesThat()
          .resideOutsideOfPackages(
              "org.ftcluster.coordinator.registry..",
              "org.ftcluster.coordinator.api..",
              "org.ftcluster.coordinator.journal..");

  @ArchTest
  static final ArchRule PACKAGES_FORM_NO_CYCLE =
      slices().matching("org.ftcluster.coordinator.(*)..").should().beFreeOfCycles();
}
