// The users API on NestJS, as its documentation has it: Fastify below, TypeORM, class-validator.

import "reflect-metadata";
import {
  ArgumentsHost, Body, Catch, Controller, ExceptionFilter, Get, HttpException, Module, Param, Post,
  Query, Res, ValidationError, ValidationPipe,
} from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { FastifyAdapter, NestFastifyApplication } from "@nestjs/platform-fastify";
import { InjectRepository, TypeOrmModule } from "@nestjs/typeorm";
import { Type } from "class-transformer";
import { IsInt, IsOptional, IsString, Max, MaxLength, Min } from "class-validator";
import type { FastifyReply } from "fastify";
import {
  Column, CreateDateColumn, Entity, MoreThan, PrimaryGeneratedColumn, QueryFailedError, Repository,
  UpdateDateColumn,
} from "typeorm";

@Entity("users")
class User {
  @PrimaryGeneratedColumn({ type: "bigint" }) id: number;
  @Column({ type: "varchar", length: 80, unique: true }) username: string;
  @Column({ type: "varchar", length: 120, unique: true }) email: string;
  @Column({ type: "varchar", length: 50, nullable: true }) first_name: string | null;
  @Column({ type: "varchar", length: 50, nullable: true }) last_name: string | null;
  @Column({ type: "int", nullable: true }) age: number | null;
  @Column({ type: "bool", default: true }) is_active: boolean;
  @CreateDateColumn({ type: "timestamptz" }) created_at: Date;
  @UpdateDateColumn({ type: "timestamptz" }) updated_at: Date;
}

class CreateUser {
  @IsString() @MaxLength(80) username: string;
  @IsString() @MaxLength(120) email: string;
  @IsOptional() @IsString() @MaxLength(50) first_name?: string | null;
  @IsOptional() @IsString() @MaxLength(50) last_name?: string | null;
  @IsOptional() @IsInt() @Min(-(2 ** 31)) @Max(2 ** 31 - 1) age?: number | null;
}

class PageQuery {
  @Type(() => Number) @IsInt() @Min(1) @Max(100) limit = 20;
  @Type(() => Number) @IsInt() @Min(0) after = 0;
}

const success = (data: unknown, message = "Success") => ({ data, message, success: true });
const refusal = (message: string) => ({ message, success: false });

function published(user: User) {
  return {
    age: user.age ?? null,
    created_at: user.created_at.toUTCString(),
    email: user.email,
    first_name: user.first_name ?? null,
    id: Number(user.id),
    is_active: user.is_active,
    last_name: user.last_name ?? null,
    updated_at: user.updated_at.toUTCString(),
    username: user.username,
  };
}

@Controller("api/v1")
class RootController {
  @Get("health") health() {
    return success({ status: "healthy" });
  }

  @Get() welcome() {
    return success({ message: "Welcome to user-service" });
  }
}

@Controller("api/v1/users")
class UserController {
  constructor(@InjectRepository(User) private readonly users: Repository<User>) {}

  @Get("page") async page(
    @Query() { limit, after }: PageQuery,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const found = await this.users.find({
      where: { id: MoreThan(after) },
      order: { id: "ASC" },
      take: limit + 1,
    });
    const data = found.slice(0, limit).map(published);
    if (found.length > limit) {
      const next = `/api/v1/users/page?limit=${limit}&after=${data[data.length - 1].id}`;
      reply.header("Link", `<${next}>; rel="next"`);
    }
    return success(data);
  }

  @Get(":id") async get(@Param("id") id: string) {
    const user = Number.isSafeInteger(Number(id)) && (await this.users.findOneBy({ id: Number(id) }));
    if (!user) throw new HttpException(refusal("User not found"), 404);
    return success(published(user));
  }

  @Post() async create(@Body() body: CreateUser) {
    const user = this.users.create(body);
    try {
      await this.users.insert(user); // one round trip, where `save` takes three
    } catch (error) {
      throw await this.taken(error, body.username);
    }
    return success(published(user), "User created successfully");
  }

  private async taken(error: unknown, username: string) {
    if (!(error instanceof QueryFailedError && error.driverError.code === "23505")) return error;
    const named = await this.users.existsBy({ username });
    return new HttpException(refusal(`${named ? "Username" : "Email"} already exists`), 400);
  }
}

function refuseValues(errors: ValidationError[]) {
  const missing = errors.find((each) => each.value === undefined);
  if (missing) return new HttpException(refusal(`Field '${missing.property}' is required`), 400);
  const reasons = errors.map((each) => [each.property, reason(each)]);
  return new HttpException(
    { errors: Object.fromEntries(reasons), message: "Validation failed", success: false },
    422,
  );
}

function reason({ constraints = {} }: ValidationError) {
  if (constraints.isString) return "Must be a string";
  if (constraints.isInt) return "Must be an integer";
  const [bound] = Object.values(constraints);
  const [limit] = bound.match(/-?\d+/) ?? [];
  if (constraints.maxLength) return `Must be at most ${limit} characters`;
  return constraints.min ? `Must be at least ${limit}` : `Must be at most ${limit}`;
}

@Catch()
class Refusals implements ExceptionFilter {
  catch(error: any, host: ArgumentsHost) {
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const status = error.status ?? error.statusCode ?? 500;
    const content = error instanceof HttpException ? error.getResponse() : {};
    const ours = typeof content === "object" && "success" in content;
    reply.status(status).send(ours ? content : refusal(WORDS[status] ?? "Internal server error"));
  }
}
const WORDS: Record<number, string> = {
  400: "Request body is not valid JSON",
  404: "Endpoint not found",
};

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: "postgres",
      url: process.env.DATABASE_URL,
      entities: [User],
      poolSize: Number(process.env.DB_POOL_SIZE ?? 10),
    }),
    TypeOrmModule.forFeature([User]),
  ],
  controllers: [RootController, UserController],
})
class AppModule {}

const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter({ routerOptions: { ignoreTrailingSlash: true } }), {
  logger: ["error", "warn"],
});
app.enableCors({ origin: "*" });
app.useGlobalFilters(new Refusals());
app.useGlobalPipes(new ValidationPipe({ transform: true, exceptionFactory: refuseValues }));
app.enableShutdownHooks();
await app.listen(Number(process.env.SERVICE_PORT), "127.0.0.1");
